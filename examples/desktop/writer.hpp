/* SPDX-License-Identifier: MIT */
/* A model on a thread of its own. The user interface hands over a prompt, takes away
 * what has been written since it last asked, and may stop the writing; it never waits
 * for the model: no call here takes longer than copying a few bytes. */
#ifndef MOTE_EXAMPLES_WRITER_HPP
#define MOTE_EXAMPLES_WRITER_HPP
#include <mote/mote.h>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

class Writer
{
  public:
    explicit Writer(const std::string &model_path);
    ~Writer();
    Writer(const Writer &) = delete;
    Writer &operator=(const Writer &) = delete;

    void start(const std::string &prompt, std::uint64_t seed);
    void stop();

    struct News {
        std::string text;     /* written since the last call */
        std::string error;    /* not empty: what went wrong */
        bool writing = false; /* more may come */
        unsigned tokens = 0;  /* of this story */
        double seconds = 0;   /* that computing them took */
    };
    News take();

  private:
    static constexpr unsigned pace_ms = 8; /* a token at most so often */
    void run();
    void write(const mote_model *model, const std::string &prompt, std::uint64_t seed);
    void fail(const mote_error &err);

    const std::string path;
    std::mutex mutex; /* guards what follows */
    std::condition_variable changed;
    std::string prompt;
    std::uint64_t seed = 0;
    bool wanted = false, quitting = false;
    bool stopping = false; /* this story is to end */
    News news;
    mote_session *session = nullptr; /* made and closed by the thread */
    std::thread thread;              /* last: it uses all the others */
};
#endif
