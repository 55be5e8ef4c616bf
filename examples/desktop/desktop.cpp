/* SPDX-License-Identifier: MIT */
/* A window that lets the model write stories: GTK 4 around the Writer of writer.hpp.
 *     desktop MODEL
 * Every frame takes what the model has written in the meantime; nothing here waits.
 *     desktop MODEL --test-prompt TEXT [--screenshot FILE.png]
 * tries it by itself: a story written to its end, a second one stopped. It fails unless
 * the text grew over several frames and frames kept coming while the model worked. */
#include "writer.hpp"

#include <gtk/gtk.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

namespace
{

const char *const style = R"(
window { background: #fbf8f2; }
headerbar { background: #f3ede1; box-shadow: none; border-bottom: 1px solid #e4dac6; }
textview, textview text { background: #fbf8f2; color: #2e2a25; }
textview { font-family: "DejaVu Serif", serif; font-size: 15px; }
.prompt { background: #f3ede1; border-top: 1px solid #e4dac6; padding: 10px 14px; }
.status { color: #857b6b; font-size: 12px; }
entry { background: #ffffff; border-radius: 8px; padding: 4px 10px; }
button.write { border-radius: 8px; padding: 4px 18px; }
)";

/* What the self-test has seen. */
struct Test {
    std::string prompt, screenshot;
    int stage =
            0; /* 1: a story to its end, 2: one that is stopped, 3: another, 4: done */
    unsigned frames = 0, grown = 0;
    gint64 last_frame = 0, longest_gap = 0, begun = 0;
    unsigned rest = 0; /* frames to wait: what was changed is drawn then */
    GdkPaintable *paintable = nullptr;
    bool failed = false;
};

struct App {
    std::unique_ptr<Writer> writer;
    std::string model;
    GtkWidget *window = nullptr, *view = nullptr, *entry = nullptr, *button = nullptr,
              *status = nullptr;
    GtkTextBuffer *buffer = nullptr;
    std::uint64_t seed = 1;
    bool writing = false;
    Test test;
};

void append(App *app, const std::string &text, bool bold)
{
    GtkTextIter end;
    gtk_text_buffer_get_end_iter(app->buffer, &end);
    gtk_text_buffer_insert_with_tags_by_name(app->buffer, &end, text.data(),
            static_cast<int>(text.size()), bold ? "prompt" : "story", nullptr);
    gtk_text_buffer_get_end_iter(app->buffer, &end);
    gtk_text_buffer_place_cursor(app->buffer, &end);
    gtk_text_view_scroll_mark_onscreen(
            GTK_TEXT_VIEW(app->view), gtk_text_buffer_get_insert(app->buffer));
}

void show_writing(App *app, bool writing)
{
    app->writing = writing;
    gtk_button_set_label(GTK_BUTTON(app->button), writing ? "Stop" : "Write");
    gtk_widget_remove_css_class(
            app->button, writing ? "suggested-action" : "destructive-action");
    gtk_widget_add_css_class(
            app->button, writing ? "destructive-action" : "suggested-action");
}

void on_button(GtkWidget *, gpointer data)
{
    App *app = static_cast<App *>(data);
    if (app->writing) {
        app->writer->stop();
        return;
    }
    const char *prompt = gtk_editable_get_text(GTK_EDITABLE(app->entry));
    if (!*prompt)
        return;
    gtk_text_buffer_set_text(app->buffer, "", 0);
    append(app, prompt, true);
    show_writing(app, true);
    app->writer->start(prompt, app->seed++);
}

/* The window as it is, in a file. */
bool save_picture(App *app)
{
    GtkSnapshot *snapshot = gtk_snapshot_new();
    gdk_paintable_snapshot(app->test.paintable, snapshot,
            gtk_widget_get_width(app->window), gtk_widget_get_height(app->window));
    GskRenderNode *node = gtk_snapshot_free_to_node(snapshot);
    bool saved = false;
    if (node) {
        GskRenderer *renderer = gtk_native_get_renderer(GTK_NATIVE(app->window));
        GdkTexture *picture = gsk_renderer_render_texture(renderer, node, nullptr);
        saved = gdk_texture_save_to_png(picture, app->test.screenshot.c_str());
        g_object_unref(picture);
        gsk_render_node_unref(node);
    }
    return saved;
}

void expect(App *app, bool right, const char *what)
{
    std::printf("%s: %s\n", right ? "ok" : "FAILED", what);
    app->test.failed |= !right;
}

void run_test(App *app, const Writer::News &news, gint64 now)
{
    Test &t = app->test;
    if (t.stage == 0) {
        t.stage = 1;
        t.begun = t.last_frame = now;
        t.paintable = gtk_widget_paintable_new(app->window);
        gtk_editable_set_text(GTK_EDITABLE(app->entry), t.prompt.c_str());
        g_signal_emit_by_name(app->button, "clicked");
        return;
    }
    t.frames++;
    t.longest_gap = std::max(t.longest_gap, now - t.last_frame);
    t.last_frame = now;
    t.grown += !news.text.empty();
    if (now - t.begun > 60 * G_USEC_PER_SEC) {
        expect(app, false, "within a minute");
        t.stage = 4;
    }
    if (t.stage == 1 && !app->writing && ++t.rest == 10) {
        std::printf("%u frames, the text grew in %u of them; %u tokens in %.2f s; "
                    "longest time between frames %.0f ms\n",
                t.frames, t.grown, news.tokens, news.seconds,
                static_cast<double>(t.longest_gap) / 1000);
        expect(app, news.error.empty(), "no error");
        expect(app, news.tokens > 20, "a story");
        expect(app, t.grown >= 3, "the text grew over several frames");
        expect(app, t.longest_gap < G_USEC_PER_SEC, "frames kept coming");
        if (!t.screenshot.empty())
            expect(app, save_picture(app), "a picture");
        t.stage = 2;
        t.frames = t.grown = 0;
        g_signal_emit_by_name(app->button, "clicked");
    } else if (t.stage == 2 && app->writing && t.grown == 1) {
        g_signal_emit_by_name(app->button, "clicked"); /* Stop */
    } else if (t.stage == 2 && !app->writing) {
        expect(app, news.error.empty(), "stopping is no error");
        expect(app, t.grown >= 1 && t.grown < 10, "stopped soon");
        t.stage = 3;
        t.grown = 0;
        g_signal_emit_by_name(app->button, "clicked");
    } else if (t.stage == 3 && (t.grown == 5 || !app->writing)) {
        /* growing, or whole already where few frames are drawn */
        expect(app, t.grown == 5 || (news.error.empty() && news.tokens > 20),
                "a story after one that was stopped");
        t.stage = 4;
    }
    if (t.stage == 4) {
        g_object_unref(t.paintable);
        gtk_window_destroy(GTK_WINDOW(app->window));
    }
}

/* Once a frame. */
gboolean on_frame(GtkWidget *, GdkFrameClock *, gpointer data)
{
    App *app = static_cast<App *>(data);
    const Writer::News news = app->writer->take();
    if (!news.text.empty())
        append(app, news.text, false);
    if (app->writing) {
        char line[160];
        if (!news.error.empty())
            g_strlcpy(line, news.error.c_str(), sizeof line);
        else
            std::snprintf(line, sizeof line, "%u tokens, %.0f a second", news.tokens,
                    news.seconds > 0 ? news.tokens / news.seconds : 0.0);
        gtk_label_set_text(GTK_LABEL(app->status), line);
        if (!news.writing)
            show_writing(app, false);
    }
    if (!app->test.prompt.empty())
        run_test(app, news, g_get_monotonic_time());
    return G_SOURCE_CONTINUE;
}

void build_window(GtkApplication *gtk, gpointer data)
{
    App *app = static_cast<App *>(data);
    GtkCssProvider *css = gtk_css_provider_new();
    gtk_css_provider_load_from_data(css, style, -1);
    gtk_style_context_add_provider_for_display(gdk_display_get_default(),
            GTK_STYLE_PROVIDER(css), GTK_STYLE_PROVIDER_PRIORITY_APPLICATION);
    g_object_unref(css);

    app->window = gtk_application_window_new(gtk);
    gtk_window_set_title(GTK_WINDOW(app->window), "mote: a storyteller");
    gtk_window_set_default_size(GTK_WINDOW(app->window), 640, 480);
    gtk_window_set_titlebar(GTK_WINDOW(app->window), gtk_header_bar_new());

    app->view = gtk_text_view_new();
    GtkTextView *view = GTK_TEXT_VIEW(app->view);
    gtk_text_view_set_editable(view, FALSE);
    gtk_text_view_set_cursor_visible(view, FALSE);
    gtk_text_view_set_wrap_mode(view, GTK_WRAP_WORD_CHAR);
    gtk_text_view_set_left_margin(view, 28);
    gtk_text_view_set_right_margin(view, 28);
    gtk_text_view_set_top_margin(view, 22);
    gtk_text_view_set_bottom_margin(view, 22);
    gtk_text_view_set_pixels_inside_wrap(view, 5);
    gtk_text_view_set_pixels_below_lines(view, 8);
    app->buffer = gtk_text_view_get_buffer(view);
    gtk_text_buffer_create_tag(app->buffer, "prompt", "foreground", "#9a5b13", nullptr);
    gtk_text_buffer_create_tag(app->buffer, "story", nullptr);
    GtkWidget *scroll = gtk_scrolled_window_new();
    gtk_scrolled_window_set_child(GTK_SCROLLED_WINDOW(scroll), app->view);
    gtk_widget_set_vexpand(scroll, TRUE);

    app->entry = gtk_entry_new();
    gtk_editable_set_text(GTK_EDITABLE(app->entry), "Once upon a time");
    gtk_widget_set_hexpand(app->entry, TRUE);
    app->button = gtk_button_new();
    gtk_widget_add_css_class(app->button, "write");
    show_writing(app, false);
    g_signal_connect(app->button, "clicked", G_CALLBACK(on_button), app);
    g_signal_connect(app->entry, "activate", G_CALLBACK(on_button), app);
    app->status = gtk_label_new("How does the story begin?");
    gtk_label_set_xalign(GTK_LABEL(app->status), 0);
    gtk_label_set_ellipsize(GTK_LABEL(app->status), PANGO_ELLIPSIZE_END);
    gtk_widget_add_css_class(app->status, "status");

    GtkWidget *row = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 10);
    gtk_box_append(GTK_BOX(row), app->entry);
    gtk_box_append(GTK_BOX(row), app->button);
    GtkWidget *foot = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6);
    gtk_widget_add_css_class(foot, "prompt");
    gtk_box_append(GTK_BOX(foot), row);
    gtk_box_append(GTK_BOX(foot), app->status);
    GtkWidget *all = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0);
    gtk_box_append(GTK_BOX(all), scroll);
    gtk_box_append(GTK_BOX(all), foot);
    gtk_window_set_child(GTK_WINDOW(app->window), all);

    app->writer.reset(new Writer(app->model));
    gtk_widget_add_tick_callback(app->window, on_frame, app, nullptr);
    gtk_widget_grab_focus(app->entry);
    gtk_window_present(GTK_WINDOW(app->window));
}

} // namespace

int main(int argc, char **argv)
{
    App app;
    for (int i = 1; i < argc; i++) {
        if (!std::strcmp(argv[i], "--test-prompt") && i + 1 < argc)
            app.test.prompt = argv[++i];
        else if (!std::strcmp(argv[i], "--screenshot") && i + 1 < argc)
            app.test.screenshot = argv[++i];
        else if (app.model.empty() && argv[i][0] != '-')
            app.model = argv[i];
        else {
            app.model.clear();
            break;
        }
    }
    if (app.model.empty()) {
        std::fprintf(stderr,
                "usage: desktop MODEL [--test-prompt TEXT [--screenshot FILE.png]]\n");
        return 2;
    }
    GtkApplication *gtk = gtk_application_new(nullptr, G_APPLICATION_NON_UNIQUE);
    g_signal_connect(gtk, "activate", G_CALLBACK(build_window), &app);
    int status = g_application_run(G_APPLICATION(gtk), 0, nullptr);
    g_object_unref(gtk);
    app.writer.reset(); /* stops what is being written, and waits for it */
    if (!app.test.prompt.empty() && (app.test.stage != 4 || app.test.failed))
        status = 1;
    return status;
}
