package dev.vireo.systemtests;

import dev.vireo.bench.cluster.Host;
import dev.vireo.bench.cluster.OwnedProcesses;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Linux;
import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.StandardProtocolFamily;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.stream.Stream;

/**
 * A network namespace of the test's own. It has no name: a process that waits holds it, and the
 * kernel removes it, with its interfaces and rules, when the last that runs in it has ended.
 */
final class NetworkNamespace implements Host {
  // asm/unistd_64.h, asm-generic/unistd.h, linux/sched.h
  private static final long SYS_SETNS = Linux.X86_64 ? 308 : 268;
  private static final long CLONE_NEWNET = 0x40000000;

  private static final EventLoopGroup EVENT_LOOP =
      new NioEventLoopGroup(1, new DefaultThreadFactory("namespaces", true));

  private final String address;
  private final Path file;
  private final long holder;

  private NetworkNamespace(String address, long holder) {
    this.address = address;
    this.holder = holder;
    this.file = fileOf(holder);
  }

  /**
   * Makes one with nothing but a loopback interface.
   *
   * @param address that others will reach it by
   */
  static NetworkNamespace create(OwnedProcesses processes, String address) throws IOException {
    Process holder =
        processes.start(
            Path.of("namespaces.log"), Map.of(), List.of("unshare", "--net", "sleep", "infinity"));
    Path own = Files.readSymbolicLink(fileOf(ProcessHandle.current().pid()));
    while (Files.readSymbolicLink(fileOf(holder.pid())).equals(own)) {
      if (!holder.isAlive()) {
        throw new IOException("unshare --net failed; see namespaces.log");
      }
      Thread.onSpinWait();
    }
    NetworkNamespace made = new NetworkNamespace(address, holder.pid());
    made.run("ip link set lo up", "");
    return made;
  }

  private static Path fileOf(long pid) {
    return Path.of("/proc/" + pid + "/ns/net");
  }

  /** A process of this namespace, by which {@code ip} names it. */
  long holder() {
    return holder;
  }

  @Override
  public String address() {
    return address;
  }

  @Override
  public List<String> command(List<String> command) {
    return Stream.concat(Stream.of("nsenter", "--net=" + file), command.stream()).toList();
  }

  /** Runs a shell script there, and waits for its end. */
  void run(String script, String input) throws IOException {
    Process process =
        new ProcessBuilder(command(List.of("sh", "-ec", script))).redirectErrorStream(true).start();
    try (var in = process.outputWriter(StandardCharsets.US_ASCII)) {
      in.write(input);
    }
    String said =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
    if (process.onExit().join().exitValue() != 0) {
      throw new IOException("%s: %s".formatted(script, said));
    }
  }

  @Override
  public Socket connect(int port) throws IOException {
    SocketChannel channel = open();
    try {
      channel.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
    } catch (IOException e) {
      channel.close();
      throw e;
    }
    return channel.socket();
  }

  @Override
  public ManagedChannel channel(String to, int port) {
    return NettyChannelBuilder.forAddress(to, port)
        .eventLoopGroup(EVENT_LOOP)
        .channelFactory(() -> new NioSocketChannel(openUnchecked()))
        .usePlaintext()
        .build();
  }

  private SocketChannel openUnchecked() {
    try {
      return open();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private SocketChannel open() throws IOException {
    return open(() -> SocketChannel.open(StandardProtocolFamily.INET));
  }

  /** A socket stays where it was opened: a thread enters the namespace, opens it, and ends. */
  <T> T open(Callable<T> socket) throws IOException {
    CompletableFuture<T> opened = new CompletableFuture<>();
    Thread.ofPlatform()
        .daemon()
        .start(() -> {
          try {
            enter();
            opened.complete(socket.call());
          } catch (Exception | Error e) {
            opened.completeExceptionally(e);
          }
        });
    try {
      return opened.join();
    } catch (CompletionException e) {
      throw new IOException("cannot open a socket in " + file, e.getCause());
    }
  }

  private void enter() {
    try (Fd namespace = Fd.open(file.toString(), Fd.O_RDONLY)) {
      Linux.check(
          Linux.libc().syscall(SYS_SETNS, namespace.number(), CLONE_NEWNET, 0, 0, 0), "setns");
    }
  }
}
