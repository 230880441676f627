package dev.vireo.sim.kernel;

import java.util.ArrayDeque;
import java.util.concurrent.Executor;

/** One thread of a process, there while it has something to do: one task after the other. */
public final class TaskQueue implements Executor {
  private final SimProcess process;
  private final ArrayDeque<Runnable> tasks = new ArrayDeque<>();
  private boolean working;

  public TaskQueue(SimProcess process) {
    this.process = process;
  }

  @Override
  public void execute(Runnable task) {
    tasks.add(task);
    if (!working) {
      working = true;
      process.execute(this::work);
    }
  }

  private void work() {
    for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
      task.run();
    }
    working = false;
  }
}
