/* SPDX-License-Identifier: MIT */
#include "writer.hpp"

#include <chrono>
#include <memory>
#include <vector>

namespace
{
struct CloseModel {
    void operator()(mote_model *m) const { mote_model_close(m); }
};
} // namespace

Writer::Writer(const std::string &model_path)
    : path(model_path), thread(&Writer::run, this)
{
}

Writer::~Writer()
{
    {
        std::lock_guard<std::mutex> lock(mutex);
        quitting = stopping = true;
        if (session)
            mote_session_cancel(session);
    }
    changed.notify_one();
    thread.join();
}

void Writer::start(const std::string &p, std::uint64_t s)
{
    {
        std::lock_guard<std::mutex> lock(mutex);
        prompt = p;
        seed = s;
        wanted = true;
        stopping = false;
        news = News();
        news.writing = true;
    }
    changed.notify_one();
}

void Writer::stop()
{
    {
        std::lock_guard<std::mutex> lock(mutex);
        stopping = true;
        if (session && news.writing)
            mote_session_cancel(session); /* any thread may */
    }
    changed.notify_one();
}

Writer::News Writer::take()
{
    std::lock_guard<std::mutex> lock(mutex);
    News taken = news;
    news.text.clear();
    return taken;
}

void Writer::fail(const mote_error &err)
{
    std::lock_guard<std::mutex> lock(mutex);
    news.error = err.message;
}

/* The thread: opens the model, then waits for stories to write. */
void Writer::run()
{
    mote_error err = {};
    mote_model *opened = nullptr;
    mote_session *made = nullptr;
    if (mote_model_open(&opened, path.c_str(), nullptr, &err) < 0)
        fail(err);
    std::unique_ptr<mote_model, CloseModel> model(opened);
    if (model && mote_session_open(&made, model.get(), nullptr, &err) < 0)
        fail(err);

    std::unique_lock<std::mutex> lock(mutex);
    session = made;
    for (;;) {
        changed.wait(lock, [this] { return wanted || quitting; });
        if (quitting)
            break;
        wanted = false;
        const std::string text = prompt;
        const std::uint64_t dice = seed;
        if (session) {
            lock.unlock();
            write(model.get(), text, dice);
            lock.lock();
        }
        if (!wanted) /* else the next one waits already */
            news.writing = false;
    }
    session = nullptr;
    lock.unlock();
    mote_session_close(made);
}

void Writer::write(const mote_model *model, const std::string &text, std::uint64_t dice)
{
    mote_error err = {};
    std::size_t n = 0;
    const mote_tokenizer *tokenizer = mote_model_tokenizer(model);
    std::vector<std::int32_t> tokens(text.size() + 8); /* never more than bytes */
    mote_sampler_options sampler = MOTE_SAMPLER_OPTIONS_INIT;
    sampler.temperature = 0.8f;
    sampler.top_p = 0.95f;
    sampler.seed = dice;
    mote_generate_options options = MOTE_GENERATE_OPTIONS_INIT;

    using clock = std::chrono::steady_clock;
    const clock::time_point begin = clock::now();
    std::chrono::duration<double> spent(0); /* computing */
    mote_status st = mote_tokenizer_encode(tokenizer, text.data(), text.size(),
            MOTE_ENCODE_BOS, tokens.data(), tokens.size(), &n, &err);
    if (st >= 0)
        st = mote_session_prompt(session, tokens.data(), n, &err);
    if (st == MOTE_E_CANCELLED) { /* meant for the story before, which had ended? */
        std::unique_lock<std::mutex> lock(mutex);
        if (!stopping) {
            lock.unlock();
            st = mote_session_prompt(session, tokens.data(), n, &err);
        }
    }
    if (st >= 0)
        st = mote_session_generate(session, &options, &sampler, &err);
    mote_piece piece = MOTE_PIECE_INIT;
    for (unsigned count = 1; st >= 0; count++) {
        const clock::time_point before = clock::now();
        if ((st = mote_session_next(session, &piece, &err)) != MOTE_OK)
            break;
        spent += clock::now() - before;
        std::unique_lock<std::mutex> lock(mutex);
        if (stopping || wanted) /* asked for before there was anything to cancel */
            break;
        news.text.append(piece.text, piece.n_bytes);
        news.tokens = count;
        news.seconds = spent.count();
        /* A small model is faster than anyone reads. */
        changed.wait_until(lock, begin + count * std::chrono::milliseconds(pace_ms),
                [this] { return stopping || wanted; });
    }
    if (st < 0 && st != MOTE_E_CANCELLED && st != MOTE_E_CONTEXT_FULL)
        fail(err);
}
