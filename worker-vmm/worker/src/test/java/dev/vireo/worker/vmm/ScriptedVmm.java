package dev.vireo.worker.vmm;

import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.MessageSocket;
import dev.vireo.linux.UnixListener;
import dev.vireo.proto.vmm.v1.CreateRequest;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.proto.vmm.v1.VmmEvent;
import dev.vireo.proto.vmm.v1.VmmMessage;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VmmStatus;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A process that speaks {@code vireo.vmm.v1} on descriptor 3 and has no guest: it prints the
 * command line to the console and then does what that says ({@code poweroff}, {@code refuse},
 * {@code hang}, {@code crash}, {@code unheard}: once its worker has gone, {@code overtaken}: while
 * it answers how it is; or runs on).
 */
public final class ScriptedVmm {
  /** An argument of the fast kind alone. */
  public static final String FAST_MARK = "-Dvireo.compiler=fast";

  private final UnixListener listener = new UnixListener(Fd.owning(3));
  private VmmStatus status =
      VmmStatus.newBuilder()
          .setState(VmmState.VMM_IDLE)
          .setPid(ProcessHandle.current().pid())
          .build();

  private ScriptedVmm() {}

  public static void main(String[] arguments) throws IOException {
    new ScriptedVmm().serve();
  }

  /** Runs this class in a small JVM of its own. */
  public static VmmProgram program(Path home) throws IOException {
    List<String> arguments = new ArrayList<>();
    arguments.addAll(
        List.of(
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xmx32m",
            "-Xshare:auto",
            "-Djnr.ffi.x86asm.enabled=false",
            "-Dvireo.libc=jffi",
            "--enable-native-access=ALL-UNNAMED",
            "--sun-misc-unsafe-memory-access=allow",
            "-cp",
            System.getProperty("java.class.path"),
            ScriptedVmm.class.getName()));
    List<String> fast = new ArrayList<>(List.of(FAST_MARK));
    fast.addAll(arguments);
    return new VmmProgram(
        Path.of(System.getProperty("java.home"), "bin", "java"),
        Map.of(VmmKind.LEAN, arguments, VmmKind.FAST, fast),
        Map.of(),
        Files.createDirectories(home),
        false);
  }

  private void serve() throws IOException {
    while (true) {
      MessageSocket worker = listener.accept();
      if (worker == null) {
        return;
      }
      try (worker) {
        while (serveOne(worker)) {
          // The next.
        }
      } catch (LinuxException workerWentAway) {
        // Another may come.
      }
      if (script.contains("unheard")) {
        writeDown(EndCause.END_GUEST_POWER_OFF);
        Runtime.getRuntime().halt(0);
      }
    }
  }

  private boolean serveOne(MessageSocket worker) throws IOException {
    try (MessageSocket.Message message = worker.receive()) {
      if (message != null) {
        answer(worker, VmmRequest.parseFrom(message.bytes()), message.descriptors());
      }
      return message != null;
    }
  }

  private void answer(MessageSocket worker, VmmRequest request, List<Fd> descriptors) {
    VmmResponse.Builder response = VmmResponse.newBuilder().setId(request.getId());
    switch (request.getRequestCase()) {
      case CREATE -> create(worker, request, descriptors);
      case STOP -> {
        respond(worker, response);
        end(worker, EndCause.END_STOPPED_BY_REQUEST);
      }
      case RELEASE -> {
        respond(worker, response);
        Runtime.getRuntime().halt(0);
      }
      case STATUS -> {
        response.setStatus(status);
        if (script.contains("overtaken")) {
          end(worker, EndCause.END_GUEST_POWER_OFF);
        }
        send(worker, response);
      }
      case PAUSE,
          RESUME,
          INSPECT,
          RESIZE_MEMORY,
          VSOCK_DIALED,
          RESIZE_CONSOLE,
          BEGIN_TRACE,
          READ_TRACE,
          END_TRACE,
          REQUEST_NOT_SET ->
          respond(worker, response);
    }
  }

  private void create(MessageSocket worker, VmmRequest request, List<Fd> descriptors) {
    CreateRequest create = request.getCreate();
    VmmResponse.Builder response = VmmResponse.newBuilder().setId(request.getId());
    script = create.getKernel().getCommandLine();
    if (script.contains("crash")) {
      Runtime.getRuntime().halt(42);
    }
    if (script.contains("refuse")) {
      respond(
          worker,
          response
              .setErrorReason("KERNEL_INVALID")
              .setErrorField("boot.kernel")
              .setErrorMessage("refused by script"));
      return;
    }
    byte[] text = (script + "\n").getBytes(StandardCharsets.UTF_8);
    Fd console = descriptors.get(create.getConsole().getOutputFd());
    console.writeFully(text, console.size());
    exitRecord = descriptors.get(create.getExitRecordFd()).duplicate();
    status =
        status.toBuilder()
            .setState(VmmState.VMM_RUNNING)
            .setMicrovmUid(create.getMicrovmUid())
            .setAttempt(create.getAttempt())
            .setConsoleReady(true)
            .build();
    if (!script.contains("hang")) {
      respond(worker, response);
    }
    if (script.contains("poweroff")) {
      end(worker, EndCause.END_GUEST_POWER_OFF);
    }
  }

  private String script = "";
  private Fd exitRecord = Fd.memory("none", 0);

  private void writeDown(EndCause cause) {
    status = status.toBuilder().setState(VmmState.VMM_ENDED).setEndCause(cause).build();
    exitRecord.writeFully(status.toByteArray(), 0);
  }

  private void end(MessageSocket worker, EndCause cause) {
    writeDown(cause);
    worker.send(
        VmmMessage.newBuilder()
            .setEvent(VmmEvent.newBuilder().setStatus(status))
            .build()
            .toByteArray());
  }

  private void respond(MessageSocket worker, VmmResponse.Builder response) {
    send(worker, response.setStatus(status));
  }

  private static void send(MessageSocket worker, VmmResponse.Builder response) {
    worker.send(VmmMessage.newBuilder().setResponse(response).build().toByteArray());
  }
}
