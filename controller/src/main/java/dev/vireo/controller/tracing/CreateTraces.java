package dev.vireo.controller.tracing;

import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.scheduler.Decision;
import java.util.function.Supplier;

/**
 * Follows microVMs from the call that asks for them until they are ready or have ended, so that
 * what is done for one later, on other threads, is seen in the trace of that call. It is known in
 * memory only: a controller that starts, or leads from now on, goes on without.
 */
public interface CreateTraces {
  /** Follows none. */
  CreateTraces NONE =
      new CreateTraces() {
        @Override
        public void begin(String uid, String name) {}

        @Override
        public void settle(String uid) {}

        @Override
        public Decision decision(MicroVm microVm, Supplier<Decision> decide) {
          return decide.get();
        }

        @Override
        public <T> T retry(String uid, Supplier<T> place) {
          return place.get();
        }

        @Override
        public String assign(MicroVm microVm, String nodeId) {
          return "";
        }

        @Override
        public void report(String nodeId, MicroVmReport report, Runnable record) {
          record.run();
        }
      };

  /** The present call is about to make this microVM. */
  void begin(String uid, String name);

  /** It has been made, or has not: then it is forgotten. */
  void settle(String uid);

  /** Decides about a place, in the present call or {@link #retry}. */
  Decision decision(MicroVm microVm, Supplier<Decision> decide);

  /** Looks for a node again, for one that waits for it. */
  <T> T retry(String uid, Supplier<T> place);

  /**
   * A node is told of its assignment.
   *
   * @return a {@code traceparent} (W3C Trace Context) to send with it; empty if it is not followed
   */
  String assign(MicroVm microVm, String nodeId);

  /** Makes durable what a node has reported. */
  void report(String nodeId, MicroVmReport report, Runnable record);
}
