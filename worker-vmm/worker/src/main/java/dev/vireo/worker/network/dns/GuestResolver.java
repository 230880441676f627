package dev.vireo.worker.network.dns;

import static java.util.Objects.requireNonNull;

import dev.vireo.worker.network.Ipv4Network;
import dev.vireo.worker.network.NameGrants;
import dev.vireo.worker.time.Time;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.net.Inet4Address;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The resolver of a node's guests: at their gateway's address, by UDP and TCP. Thread-safe.
 *
 * <p>The address is the node's only while a guest has its interface, so the sockets are made with
 * the first of them; they stay, and are of use again when the address is there again.
 */
public final class GuestResolver implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger("dns");

  private final InetSocketAddress address;
  private final Grants grants;
  private final GuestQueries queries;
  private final Budgets budgets;
  private final Consumer<String> events;
  private @Nullable UdpQuestions udp;
  private @Nullable TcpQuestions tcp;

  /**
   * @param address where guests ask
   * @param guests who asks, and where answers are made to be of use
   * @param pool of guests' addresses
   * @param events what happens that is worth counting, by name, from any thread
   */
  public GuestResolver(
      InetSocketAddress address,
      NameGrants guests,
      Ipv4Network pool,
      Upstream upstream,
      Time time,
      Consumer<String> events) {
    this(address, guests, pool, GuestResolver::isOfThisNode, upstream, time, events);
  }

  GuestResolver(
      InetSocketAddress address,
      NameGrants guests,
      Ipv4Network pool,
      Predicate<Inet4Address> isOfNode,
      Upstream upstream,
      Time time,
      Consumer<String> events) {
    this.address = address;
    this.grants = new Grants(guests, time);
    this.queries =
        new GuestQueries(guests, grants, new AddressPolicy(pool, isOfNode), upstream, events);
    this.budgets = new Budgets(time);
    this.events = events;
  }

  private static boolean isOfThisNode(Inet4Address address) {
    try {
      return NetworkInterface.getByInetAddress(address) != null;
    } catch (SocketException e) {
      return true; // The node cannot say; then nobody goes there.
    }
  }

  /**
   * Answers from now on, unless it does already.
   *
   * @throws IOException if the address is not the node's, or somebody else answers there
   */
  public synchronized void listen() throws IOException {
    if (udp == null) {
      udp = new UdpQuestions(address, queries, budgets, events);
    }
    if (tcp == null) {
      tcp = new TcpQuestions(address, queries, budgets, events);
      LOG.log(Level.INFO, "guests ask {0} for names", address);
    }
  }

  /** What a microVM was let reach before does not hold in its next run. */
  public void forget(String uid) {
    grants.forget(uid);
  }

  /** Where it listens for datagrams; to be called after {@link #listen}. */
  synchronized InetSocketAddress udpAddress() throws IOException {
    return requireNonNull(udp).address();
  }

  /** Where it listens for connections; to be called after {@link #listen}. */
  synchronized InetSocketAddress tcpAddress() {
    return requireNonNull(tcp).address();
  }

  @Override
  public synchronized void close() {
    if (udp != null) {
      udp.close();
    }
    if (tcp != null) {
      tcp.close();
    }
  }
}
