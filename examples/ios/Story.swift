// SPDX-License-Identifier: MIT
// A model that writes on, as an AsyncStream: the work is done on a queue of its own, and
// whoever stops listening cancels it. The model is a file of the app's bundle:
//     let story = try Story(path: Bundle.main.path(forResource: "story", ofType: "mote")!)
//     for await piece in story.tell("Once upon a time") { text += piece }
import Foundation
import Mote

struct StoryError: Error {
    let status: Int32
    let message: String

    init(_ error: mote_error) {
        status = error.status
        message = withUnsafePointer(to: error.message) {
            $0.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: $0.pointee)) {
                String(cString: $0)
            }
        }
    }
}

final class Story: @unchecked Sendable {
    private var model: OpaquePointer?
    private var session: OpaquePointer?
    private let queue = DispatchQueue(label: "story") // one thread per session

    init(path: String) throws {
        var error = mote_error()
        guard mote_model_open(&model, path, nil, &error) >= 0,
              mote_session_open(&session, model, nil, &error) >= 0 else {
            mote_model_close(model)
            throw StoryError(error)
        }
    }

    deinit {
        mote_session_close(session)
        mote_model_close(model)
    }

    func tell(_ prompt: String, temperature: Float = 0.8, seed: UInt64 = 0) -> AsyncStream<String> {
        AsyncStream { listener in
            listener.onTermination = { reason in
                if case .cancelled = reason { mote_session_cancel(self.session) }
            }
            queue.async {
                self.write(prompt, temperature, seed) { listener.yield($0) }
                listener.finish()
            }
        }
    }

    private func write(_ prompt: String, _ temperature: Float, _ seed: UInt64,
                       _ deliver: (String) -> Void) {
        var error = mote_error()
        var n = 0
        var tokens = [Int32](repeating: 0, count: prompt.utf8.count + 8)
        var sampler = mote_sampler_options()
        sampler.struct_size = UInt32(MemoryLayout<mote_sampler_options>.size)
        sampler.temperature = temperature
        sampler.seed = seed
        var piece = mote_piece()
        piece.struct_size = UInt32(MemoryLayout<mote_piece>.size)
        guard mote_tokenizer_encode(mote_model_tokenizer(model), prompt, prompt.utf8.count,
                                    MOTE_ENCODE_BOS, &tokens, tokens.count, &n, &error) >= 0,
              mote_session_prompt(session, tokens, n, &error) >= 0,
              mote_session_generate(session, nil, &sampler, &error) >= 0 else { return }
        while mote_session_next(session, &piece, &error) == MOTE_OK {
            let bytes = UnsafeRawBufferPointer(start: piece.text, count: Int(piece.n_bytes))
            deliver(String(decoding: bytes, as: UTF8.self))
        }
    }
}
