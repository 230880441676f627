package dev.vireo.cli;

import java.util.ArrayDeque;
import java.util.Deque;

/**
 * What must be undone however the command ends: normally, by an exception, by Ctrl-C or SIGTERM.
 * Last in, first out; each once; one that fails does not keep the others from being done.
 */
public final class Cleanup implements AutoCloseable {
  /** One thing to undo. */
  @FunctionalInterface
  public interface Task {
    void run() throws Exception;
  }

  private final Deque<Task> tasks = new ArrayDeque<>();
  private final Thread hook = new Thread(this::interrupt, "cleanup");
  private boolean interrupted;

  public Cleanup() {
    Runtime.getRuntime().addShutdownHook(hook);
  }

  /** Undoes at once what is added too late, while the process is already ending. */
  public synchronized void add(Task task) {
    tasks.push(task);
    if (interrupted) {
      runAll();
    }
  }

  /** Undoes this if the command is interrupted, and not if it ends by itself. */
  public void addForInterrupt(Task task) {
    add(() -> {
      if (isInterrupted()) {
        task.run();
      }
    });
  }

  /** Whether the clean-up was begun by a signal. */
  public synchronized boolean isInterrupted() {
    return interrupted;
  }

  /** What a signal does. */
  synchronized void interrupt() {
    interrupted = true;
    runAll();
  }

  private synchronized void runAll() {
    while (!tasks.isEmpty()) {
      try {
        tasks.pop().run();
      } catch (Exception e) {
        System.err.println("vireo: while cleaning up: " + e.getMessage());
      }
    }
  }

  @Override
  public void close() {
    runAll();
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // The process is already ending; the hook found nothing left to do.
    }
  }
}
