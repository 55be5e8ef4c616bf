/* SPDX-License-Identifier: MIT */
package org.mote;

import java.nio.charset.StandardCharsets;

/** A model that writes on. Calls may take long: make them on a thread that draws nothing;
 *  cancel() may come from any other. In an app the model lies among its assets, stored
 *  and not compressed:
 *  <pre>
 *  try (AssetFileDescriptor a = context.getAssets().openFd("story.mote")) {
 *      story = Story.open(a.getParcelFileDescriptor().getFd(), a.getStartOffset(),
 *                         a.getLength());
 *  }
 *  </pre> */
public final class Story implements AutoCloseable {
    static {
        System.loadLibrary("story");
    }

    private long handle;

    private Story(long handle) {
        this.handle = handle;
    }

    public static Story open(String path) {
        return new Story(openPath(path.getBytes(StandardCharsets.UTF_8)));
    }

    /** Part of an open file; the descriptor may be closed afterwards. */
    public static Story open(int fd, long offset, long length) {
        return new Story(openPart(fd, offset, length));
    }

    public void begin(String prompt, float temperature, long seed, int maxTokens) {
        begin(handle, prompt.getBytes(StandardCharsets.UTF_8), temperature, seed, maxTokens);
    }

    /** The next piece; null at the end. */
    public String next() {
        byte[] text = next(handle);
        return text == null ? null : new String(text, StandardCharsets.UTF_8);
    }

    public void cancel() {
        cancel(handle);
    }

    @Override
    public void close() {
        close(handle);
        handle = 0;
    }

    private static native long openPath(byte[] path);
    private static native long openPart(int fd, long offset, long length);
    private static native void begin(
            long handle, byte[] prompt, float temperature, long seed, int maxTokens);
    private static native byte[] next(long handle);
    private static native void cancel(long handle);
    private static native void close(long handle);

    /** Story MODEL-FOLDER MODEL-FILE: tries all of it, where there is no phone. */
    public static void main(String[] args) throws Exception {
        String told;
        try (Story story = open(args[0])) {
            told = tell(story);
        }
        try (java.io.RandomAccessFile file = new java.io.RandomAccessFile(args[1], "r")) {
            java.lang.reflect.Field number = java.io.FileDescriptor.class.getDeclaredField("fd");
            number.setAccessible(true);
            try (Story story = open(number.getInt(file.getFD()), 0, file.length())) {
                if (!tell(story).equals(told))
                    throw new AssertionError("another story from a descriptor");
                story.begin("Once", 0, 0, 0);
                story.next();
                story.cancel();
                try {
                    while (story.next() != null)
                        ;
                    throw new AssertionError("cancelling did nothing");
                } catch (RuntimeException e) {
                    System.out.println("cancelled: " + e.getMessage());
                }
            }
        }
        try {
            open("/nowhere");
            throw new AssertionError("opened nothing");
        } catch (RuntimeException e) {
            System.out.println("refused: " + e.getMessage());
        }
        System.out.println(told);
        if (!told.startsWith(", there was a little girl named Lily."))
            throw new AssertionError("another story than the reference's");
    }

    private static String tell(Story story) {
        StringBuilder all = new StringBuilder();
        story.begin("Once upon a time", 0, 0, 30);
        for (String piece; (piece = story.next()) != null;)
            all.append(piece);
        return all.toString();
    }
}
