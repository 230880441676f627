package dev.vireo.linux.testing;

import dev.vireo.linux.Linux;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/**
 * A network namespace of a test's own, and the thread that is in it: sockets and interfaces that
 * are made there belong to it, and so do the programs that are run there. It ends with the thread
 * and the last descriptor. Needs root.
 */
public final class NetworkNamespace implements AutoCloseable {
  private static final long CLONE_NEWNET = 0x4000_0000L;
  private static final long SYS_UNSHARE =
      System.getProperty("os.arch").equals("amd64") ? 272 : 97; // asm/unistd.h

  private final ExecutorService inside =
      Executors.newSingleThreadExecutor(Thread.ofPlatform().name("namespace").daemon().factory());

  /** Work inside. */
  public interface Work {
    void run() throws Exception;
  }

  public NetworkNamespace() {
    run(() -> Linux.check(Linux.libc().syscall(SYS_UNSHARE, CLONE_NEWNET, 0, 0, 0, 0), "unshare"));
    shell("ip link set lo up");
  }

  /** Does it in the namespace, and returns what comes of it. */
  public <T> T call(Callable<T> work) {
    try {
      return inside.submit(work).get();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw new AssertionError(e.getCause());
    }
  }

  /** Does it in the namespace. */
  public void run(Work work) {
    call(() -> {
      work.run();
      return true;
    });
  }

  /** Runs a shell command in the namespace, which must succeed, and returns its output. */
  public String shell(String command) {
    return call(() -> output(command));
  }

  private static String output(String command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder("sh", "-c", command).redirectErrorStream(true).start();
    String output =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.US_ASCII).strip();
    if (process.waitFor() != 0) {
      throw new AssertionError(command + ": " + output);
    }
    return output;
  }

  @Override
  public void close() {
    inside.shutdownNow();
    try {
      if (!inside.awaitTermination(20, TimeUnit.SECONDS)) {
        throw new AssertionError("a test does not leave its network namespace");
      }
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
