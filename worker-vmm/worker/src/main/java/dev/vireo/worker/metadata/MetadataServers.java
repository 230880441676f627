package dev.vireo.worker.metadata;

import static java.util.concurrent.TimeUnit.SECONDS;

import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.worker.time.Time;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * The metadata services of a node's guests: one thread serves them all, which begins with the first
 * of them. Thread-safe.
 */
public final class MetadataServers implements AutoCloseable {
  /** Of the node, on a guest's vsock: {@code agent.proto} names it. */
  public static final int VSOCK_PORT = 169;

  private final String nodeId;
  private final RandomGenerator random;
  private final Time time;
  private final Consumer<String> events;
  private @Nullable EventLoopGroup loop;

  /**
   * @param random for session tokens: one that nobody can foretell
   * @param events what happens that is worth counting, by name, from any thread
   */
  public MetadataServers(
      String nodeId, RandomGenerator random, Time time, Consumer<String> events) {
    this.nodeId = nodeId;
    this.random = random;
    this.time = time;
    this.events = events;
  }

  /**
   * Serves the guest of a microVM from now on, with what its assignment says now.
   *
   * @param network what the node has given it, if it has a routed one
   * @param socket where its VMM connects for {@link #VSOCK_PORT}; what is there is replaced
   * @throws IOException if the socket cannot be made
   */
  public MetadataService open(Assignment assignment, Optional<NetworkStatus> network, Path socket)
      throws IOException {
    return MetadataServer.open(
        socket, MetadataPages.of(assignment, network, nodeId), random, time, events, loop());
  }

  private synchronized EventLoopGroup loop() {
    if (loop == null) {
      loop = new NioEventLoopGroup(1, new DefaultThreadFactory("metadata", true));
    }
    return loop;
  }

  /** Ends its thread, and what that serves. */
  @Override
  public synchronized void close() {
    if (loop != null) {
      Future<?> _ = loop.shutdownGracefully(0, 1, SECONDS);
    }
  }
}
