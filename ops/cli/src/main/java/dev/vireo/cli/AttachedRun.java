package dev.vireo.cli;

import com.google.common.util.concurrent.ListenableFuture;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.AttachStart;
import dev.vireo.proto.v1.Container;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.LogSource;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Termination;
import dev.vireo.proto.v1.WatchEventType;
import dev.vireo.proto.v1.WatchMicroVmsResponse;
import io.grpc.Context;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import org.jspecify.annotations.Nullable;

/**
 * A microVM attended from its creation to its end: its console on our output, its changes of state
 * on our error output, and, if so wished, its deletion whatever happens. Of one with a container it
 * is the output of its process, and nothing of ours unless that could not be run.
 */
public final class AttachedRun {
  private static final Duration DELETE_TIMEOUT = Duration.ofSeconds(30);

  private final Api api;
  private final Environment environment;
  private final CreateMicroVmRequest request;
  private final Duration patience;
  private final boolean remove;
  private final boolean input;
  private final String name;
  private final boolean container;

  /** Completed once the microVM has a node, and so a console. */
  private final CompletableFuture<MicroVm> placed = new CompletableFuture<>();

  private String lastLine = "";
  private volatile @Nullable ProcessAttachment attachment;

  /**
   * @param patience with what the request waits for, if it does
   * @param remove it, whatever happens
   * @param input of its container's process is ours, and its terminal, if it has one
   */
  AttachedRun(
      Api api,
      Environment environment,
      CreateMicroVmRequest request,
      Duration patience,
      boolean remove,
      boolean input) {
    this.api = api;
    this.input = input;
    this.environment = environment;
    this.request = request;
    this.patience = patience;
    this.remove = remove;
    this.container = request.getMicrovm().getSpec().hasContainer();
    this.name = request.getParent() + "/microvms/" + request.getMicrovmId();
  }

  /**
   * Returns the exit code: 0 if the guest ended in good order; with a container that of its
   * process, {@link ExitCode#TIME_IS_UP} or {@link ExitCode#OF_VIREO}.
   */
  int run() {
    try (Cleanup cleanup = new Cleanup()) {
      return run(cleanup);
    }
  }

  /**
   * The same.
   *
   * @param cleanup that the caller closes
   */
  int run(Cleanup cleanup) {
    // One that waits may fail when the microVM is there: its answer would not say whose it is.
    ListenableFuture<MicroVm> creation =
        api.microVmFutures(Api.CALL_TIMEOUT).createMicroVm(request.toBuilder().clearWait().build());
    if (remove) {
      cleanup.add(() -> undo(creation));
    }
    MicroVm created = awaited(answer(creation));
    if (input) {
      connectInput(cleanup);
    }
    MicroVm end = attend(created);
    if (isLeft()) {
      environment.err().println("vireo: left; see vireo attach " + Api.id(name));
      return ExitCode.OK;
    }
    return container ? containerExitCode(end) : exitCode(end);
  }

  /** The same request once more: it makes no other, and waits for what it is asked to. */
  private MicroVm awaited(MicroVm created) {
    return request.getWait() == CreateMicroVmRequest.Wait.WAIT_UNSPECIFIED
        ? created
        : answer(api.microVmFutures(patience).createMicroVm(request));
  }

  /** Its output comes by its log, which outlasts a worker and is there when it has ended. */
  private void connectInput(Cleanup cleanup) {
    Container wanted = request.getMicrovm().getSpec().getContainer();
    AttachStart.Builder start =
        AttachStart.newBuilder().setName(name).setStdin(wanted.getStdin()).setInputOnly(true);
    if (wanted.getTerminal()) {
      environment.tty().size().ifPresent(start::setTerminal);
    }
    ProcessAttachment process =
        new ProcessAttachment(api, environment, start.build(), wanted.getTerminal());
    cleanup.add(process::close);
    attachment = process;
    process.connectInput(cleanup);
  }

  /** How the process ends is seen by its state. */
  private void attendInput(ProcessAttachment process, Context.CancellableContext attention) {
    try {
      if (process.follow().isEmpty()) {
        attention.cancel(null);
      }
    } catch (CommandException e) {
      // Its state says more.
    } catch (StatusRuntimeException e) {
      ErrorReason reason = Errors.reasonOf(e).orElse(ErrorReason.STATE_CONFLICT);
      if (reason == ErrorReason.NODE_UNREACHABLE || reason == ErrorReason.STDIN_BUSY) {
        environment
            .err()
            .println(
                "vireo: what is typed does not arrive any more (%s); see vireo attach %s"
                    .formatted(e.getStatus().getDescription(), Api.id(name)));
      }
    }
  }

  private boolean isLeft() {
    ProcessAttachment process = attachment;
    return process != null && process.isDetached();
  }

  private static int exitCode(MicroVm end) {
    return end.getStatus().getState() == MicroVmState.FAILED ? ExitCode.FAILED : ExitCode.OK;
  }

  private int containerExitCode(MicroVm end) {
    Termination termination = end.getStatus().getTermination();
    int status = termination.getExitStatus();
    if (termination.getCause() == Termination.Cause.PROCESS_ENDED) {
      if (status == ExitCode.NOT_EXECUTABLE || status == ExitCode.NO_COMMAND) {
        environment.err().println("vireo: the command: " + termination.getMessage());
      }
      return status;
    }
    environment.err().println("vireo: " + new MicroVmView(environment.clock()).line(end));
    return switch (termination.getCause()) {
      case RUN_TIME_EXCEEDED, IDLE_TIMEOUT -> ExitCode.TIME_IS_UP;
      default -> ExitCode.OF_VIREO;
    };
  }

  /** Follows console and state side by side; the state's end is the console's. */
  private MicroVm attend(MicroVm created) {
    LogReader log =
        new LogReader(
            api,
            name,
            LogSource.LOG_SOURCE_UNSPECIFIED,
            0,
            new LogSink(environment, hasTerminal(), false),
            environment.err());
    try (Context.CancellableContext attention = Context.current().withCancellation()) {
      CompletableFuture<MicroVm> end = new CompletableFuture<>();
      Thread.ofVirtual()
          .start(
              attention.wrap(() -> {
                try {
                  end.complete(watch(created));
                } catch (RuntimeException e) {
                  if (isLeft()) {
                    end.complete(created);
                  } else {
                    end.completeExceptionally(e);
                  }
                } finally {
                  placed.complete(created);
                  attention.cancel(null);
                }
              }));
      placed.join();
      ProcessAttachment process = attachment;
      if (process != null) {
        Thread.ofVirtual().start(() -> attendInput(process, attention));
      }
      attention.run(() -> followUntilCancelled(log));
      // Who leaves may do so before the log ends, or after it.
      MicroVm last = result(end);
      if (!isLeft() && last.getStatus().getState() != MicroVmState.DELETING) {
        log.drain();
      }
      return last;
    }
  }

  /** Returns the last state seen: finished, or deleted. */
  private MicroVm watch(MicroVm created) {
    MicroVm[] last = {created};
    show(created);
    if (!MicroVmView.isFinished(created)) {
      new MicroVmWatch(api, "", environment.err())
          .follow(created.getMeta().getResourceVersion(), event -> goesOn(event, last));
    }
    return last[0];
  }

  private boolean goesOn(WatchMicroVmsResponse event, MicroVm[] last) {
    MicroVm vm = event.getMicrovm();
    if (!vm.getMeta().getUid().equals(last[0].getMeta().getUid())) {
      return true;
    }
    last[0] = vm;
    if (event.getType() == WatchEventType.DELETED) {
      return false;
    }
    show(vm);
    return !MicroVmView.isFinished(vm);
  }

  private void show(MicroVm vm) {
    String line = new MicroVmView(environment.clock()).line(vm);
    if (!line.equals(lastLine) && !container) {
      environment.err().println("vireo: " + line);
      lastLine = line;
    }
    switch (vm.getStatus().getState()) {
      case RUNNING, PAUSED, STOPPING, STOPPED, FAILED, DELETING -> placed.complete(vm);
      case PENDING, SCHEDULED, STARTING, MICRO_VM_STATE_UNSPECIFIED, UNRECOGNIZED -> {}
    }
  }

  private boolean hasTerminal() {
    return input && request.getMicrovm().getSpec().getContainer().getTerminal();
  }

  private static void followUntilCancelled(LogReader log) {
    try {
      log.follow();
    } catch (StatusRuntimeException e) {
      if (e.getStatus().getCode() != Status.Code.CANCELLED) {
        throw e;
      }
    }
  }

  /** Runs also while the create call is still under way: then that, which is short, comes first. */
  private void undo(ListenableFuture<MicroVm> creation) throws InterruptedException {
    if (isLeft()) {
      return;
    }
    MicroVm created = null;
    try {
      created = creation.get();
    } catch (ExecutionException e) {
      Status.Code code = Status.fromThrowable(e).getCode();
      if (code != Status.Code.UNAVAILABLE && code != Status.Code.DEADLINE_EXCEEDED) {
        // Refused: another's microVM may have this name, which is not ours to delete.
        return;
      }
    }
    removeOwn(created);
  }

  private void removeOwn(@Nullable MicroVm created) {
    new Deletion(api).enforce(name, DELETE_TIMEOUT);
    if (created != null && !container) {
      environment.err().println("vireo: " + Api.id(name) + " deleted");
    }
  }

  private static MicroVm answer(ListenableFuture<MicroVm> creation) {
    try {
      return creation.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw Status.CANCELLED.withCause(e).asRuntimeException();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw new IllegalStateException(e);
    }
  }

  private static MicroVm result(CompletableFuture<MicroVm> end) {
    try {
      return end.join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw e;
    }
  }
}
