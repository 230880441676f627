package dev.vireo.oci;

import static dev.vireo.images.ImageException.Reason.DISK_FULL;
import static dev.vireo.images.ImageException.Reason.TOOL_FAILED;

import dev.vireo.images.Commands;
import dev.vireo.images.ImageException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/**
 * Makes a squashfs of a tar that is streamed to {@code tar2sqfs} (squashfs-tools-ng): nothing is
 * extracted, and nothing needs to be root. Equal tars make equal files.
 *
 * <p>zstd, for it is read fastest of what compresses well. Level 3 makes a root as small as its
 * registry's gzip in a seventh of level 15's time; 128 KiB is the most that one page fault reads.
 */
final class Squashfs {
  private static final List<String> COMMAND =
      List.of(
          // It ends with us.
          "setpriv",
          "--pdeathsig",
          "KILL",
          "tar2sqfs",
          "--quiet",
          "--force",
          "--no-skip",
          "--compressor",
          "zstd",
          "--comp-extra",
          "level=3",
          "--block-size",
          "131072");

  /** Writes the tar. */
  @FunctionalInterface
  interface Tar {
    void writeTo(OutputStream out) throws IOException, ImageException;
  }

  private Squashfs() {}

  /**
   * Makes the file.
   *
   * @throws ImageException HOST_UNSUPPORTED without the program; DISK_FULL, TOOL_FAILED, or what
   *     the tar's writer throws
   */
  static void make(Path file, Tar tar) throws IOException, ImageException {
    List<String> command = new ArrayList<>(COMMAND);
    command.set(0, Commands.locate(COMMAND.getFirst()).toString());
    command.set(3, Commands.locate(COMMAND.get(3)).toString());
    command.add(file.toString());
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectOutput(ProcessBuilder.Redirect.DISCARD);
    builder.environment().put("LC_ALL", "C");
    Process process = builder.start();
    try {
      CompletableFuture<String> errors =
          CompletableFuture.supplyAsync(() -> text(process.getErrorStream()));
      writeTo(process, tar, errors);
      int status = process.waitFor();
      if (status != 0) {
        throw failed(status, errors.get());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new ImageException(TOOL_FAILED, "interrupted", e);
    } catch (ExecutionException e) {
      throw new IOException(e.getCause());
    } finally {
      process.destroyForcibly();
    }
  }

  private static void writeTo(Process process, Tar tar, CompletableFuture<String> errors)
      throws IOException, ImageException, InterruptedException, ExecutionException {
    // Not closed when something is wrong: the program must not take what it has for the whole.
    OutputStream out = process.getOutputStream();
    try {
      tar.writeTo(out);
      out.close();
    } catch (LayerScan.OutputException e) {
      process.destroy();
      throw failed(process.waitFor(), errors.get());
    }
  }

  private static ImageException failed(int status, String errors) {
    String problem = "tar2sqfs ended with status %d: %s".formatted(status, errors.strip());
    // It does not tell more of a write that failed; what it reads is a pipe.
    return errors.contains("I/O error")
        ? new ImageException(
            DISK_FULL,
            "the disk of the image cache is full, or broken; vireo image prune --keep-free makes"
                + " room (%s)".formatted(problem))
        : new ImageException(TOOL_FAILED, problem);
  }

  private static String text(InputStream stream) {
    try (stream) {
      return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      return e.toString();
    }
  }
}
