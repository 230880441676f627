package dev.vireo.worker.network.dns;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.xbill.DNS.ExtendedResolver;
import org.xbill.DNS.Message;
import org.xbill.DNS.Resolver;
import org.xbill.DNS.ResolverConfig;
import org.xbill.DNS.SimpleResolver;

/**
 * The resolvers that the node's own programs ask, over UDP, and over TCP where an answer is too
 * long. Thread-safe.
 */
public final class NodeResolvers implements Upstream {
  private static final System.Logger LOG = System.getLogger("dns");
  private static final Path CONFIGURATION = Path.of("/etc/resolv.conf");

  /** Of UDP's answers: what passes any network in one piece. */
  private static final int UDP_BYTES = 1232;

  private static final int TRIES = 2;

  private final Duration timeout;
  private final @Nullable List<InetSocketAddress> fixed;
  private @Nullable Resolver resolver;
  private @Nullable FileTime configured;

  private NodeResolvers(@Nullable List<InetSocketAddress> fixed, Duration timeout) {
    this.fixed = fixed;
    this.timeout = timeout;
  }

  /**
   * Those of {@code /etc/resolv.conf}, as it is at each time.
   *
   * @param timeout of each try, of which each resolver has two
   */
  public static NodeResolvers ofNode(Duration timeout) {
    return new NodeResolvers(null, timeout);
  }

  /** These, as {@link #ofNode}. */
  public static NodeResolvers of(List<InetSocketAddress> resolvers, Duration timeout) {
    return new NodeResolvers(List.copyOf(resolvers), timeout);
  }

  @Override
  public Message ask(Message query) throws IOException {
    return current().send(query);
  }

  private synchronized Resolver current() throws IOException {
    FileTime now = fixed == null ? changed() : null;
    if (resolver == null || (now != null && !now.equals(configured))) {
      if (fixed == null) {
        ResolverConfig.refresh();
      }
      List<InetSocketAddress> servers =
          fixed == null ? ResolverConfig.getCurrentConfig().servers() : fixed;
      LOG.log(Level.DEBUG, "resolvers: {0}", servers);
      resolver = resolverOf(servers);
      configured = now;
    }
    return resolver;
  }

  /** No file: dnsjava takes a resolver on this host, as libc does. */
  private static FileTime changed() {
    try {
      return Files.getLastModifiedTime(CONFIGURATION);
    } catch (IOException e) {
      return FileTime.fromMillis(0);
    }
  }

  private Resolver resolverOf(List<InetSocketAddress> servers) throws UnknownHostException {
    Resolver[] each = new Resolver[servers.size()];
    for (int i = 0; i < each.length; i++) {
      SimpleResolver one = new SimpleResolver(servers.get(i));
      one.setEDNS(0, UDP_BYTES, 0, List.of());
      each[i] = one;
    }
    ExtendedResolver all = new ExtendedResolver(each);
    all.setRetries(TRIES);
    all.setTimeout(timeout);
    return all;
  }
}
