package dev.vireo.worker.agent;

import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.ExecExited;
import java.io.IOException;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Where clients meet a container's process: how far its output has been written down, how it has
 * ended, and a place for the next message to it, of which there is one at a time. The connection to
 * the agent is not theirs, so nobody who waits here can break it. Thread-safe.
 */
final class AttachPoint {
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private @Nullable AgentConnection agent;
  private @Nullable HostMessage next;
  private @Nullable ExecExited exited;
  private long written;
  private boolean over;
  private boolean stdinTaken;
  private boolean stdinEnded;

  // ---- by who looks after the process

  /** The process runs, and listens on this connection until that ends or there is another. */
  void connected(AgentConnection to) {
    change(() -> agent = to);
    Thread.ofVirtual().name("to-process").start(() -> passOn(to));
  }

  /** The connection has ended. */
  void disconnected() {
    change(() -> agent = null);
  }

  /** The log ends at this offset. */
  void written(long end) {
    change(() -> written = end);
  }

  void exited(ExecExited how) {
    change(() -> exited = how);
  }

  /** Nothing more comes, and all that came has been written down. */
  void over() {
    change(() -> {
      agent = null;
      over = true;
    });
  }

  private void change(Runnable how) {
    lock.lock();
    try {
      how.run();
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private void passOn(AgentConnection to) {
    try {
      for (HostMessage message = take(to); message != null; message = take(to)) {
        to.send(message);
      }
    } catch (IOException e) {
      // Whoever reads from it is told, too.
    }
  }

  private @Nullable HostMessage take(AgentConnection to) {
    lock.lock();
    try {
      while (agent == to && next == null) {
        changed.awaitUninterruptibly();
      }
      if (agent != to) {
        return null;
      }
      HostMessage message = next;
      next = null;
      changed.signalAll();
      return message;
    } finally {
      lock.unlock();
    }
  }

  // ---- by clients

  /** Makes the caller the one who writes to the standard input. */
  void takeStdin() throws AgentException {
    lock.lock();
    try {
      if (stdinEnded) {
        throw new AgentException(
            ErrorReason.STATE_CONFLICT,
            "",
            "the process' standard input has ended; attach without it: vireo attach --no-stdin");
      }
      if (stdinTaken) {
        throw new AgentException(
            ErrorReason.STDIN_BUSY, "", "another client writes to the process' standard input");
      }
      stdinTaken = true;
    } finally {
      lock.unlock();
    }
  }

  /** And another may be that. */
  void giveStdin() {
    change(() -> stdinTaken = false);
  }

  /** There will be no more of it. */
  void endStdin() {
    change(() -> stdinEnded = true);
  }

  /** Sends, once the process runs and takes more; to one that is over, nothing. */
  void send(HostMessage message) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (!over && (agent == null || next != null)) {
        changed.await();
      }
      if (!over) {
        next = message;
        changed.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  /** Where the log ends now. */
  long written() {
    lock.lock();
    try {
      return written;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Waits until there is output beyond this offset, or none to come.
   *
   * @param gone whether the caller is to wait no longer: see {@link #wake}
   * @return whether none is to come
   */
  boolean awaitOutput(long offset, BooleanSupplier gone) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (!over && written <= offset && !gone.getAsBoolean()) {
        changed.await();
      }
      return over;
    } finally {
      lock.unlock();
    }
  }

  /** Has all who wait look again. */
  void wake() {
    change(() -> {});
  }

  /** How the process has ended; empty if that is not known. */
  Optional<ExecExited> exited() {
    lock.lock();
    try {
      return Optional.ofNullable(exited);
    } finally {
      lock.unlock();
    }
  }
}
