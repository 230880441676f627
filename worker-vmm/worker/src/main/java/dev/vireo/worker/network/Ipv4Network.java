package dev.vireo.worker.network;

import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * An IPv4 network, or with a prefix of 32 bits one address.
 *
 * @param address of the network, in the order of the bytes as they are written
 * @param prefixLength 0 to 32
 */
public record Ipv4Network(int address, int prefixLength) {
  private static final int BITS = 32;
  private static final int LEAST_POOL_PREFIX = 8;
  private static final int MOST_POOL_PREFIX = 29;
  private static final Pattern FORM =
      Pattern.compile("(\\d{1,3})\\.(\\d{1,3})\\.(\\d{1,3})\\.(\\d{1,3})(?:/(\\d{1,2}))?");

  /** RFC 6890: this network, loopback, link-local, multicast and what is above it. */
  private static final List<Ipv4Network> RESERVED =
      Stream.of("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")
          .map(Ipv4Network::parse)
          .toList();

  public Ipv4Network {
    if (prefixLength < 0 || prefixLength > BITS || (address & ~mask(prefixLength)) != 0) {
      throw new IllegalArgumentException("not a network: " + text(address) + "/" + prefixLength);
    }
  }

  /**
   * Reads {@code 10.1.0.0/16} or {@code 10.1.2.3}.
   *
   * @throws IllegalArgumentException if it is neither, or has bits beyond its prefix
   */
  public static Ipv4Network parse(String text) {
    Matcher matcher = FORM.matcher(text);
    if (!matcher.matches()) {
      throw new IllegalArgumentException("no IPv4 network: " + text);
    }
    int address = 0;
    for (int i = 1; i <= Integer.BYTES; i++) {
      int part = Integer.parseInt(matcher.group(i));
      if (part > 0xff) {
        throw new IllegalArgumentException("no IPv4 network: " + text);
      }
      address = address << Byte.SIZE | part;
    }
    return new Ipv4Network(
        address, matcher.group(5) == null ? BITS : Integer.parseInt(matcher.group(5)));
  }

  static Ipv4Network host(int address) {
    return new Ipv4Network(address, BITS);
  }

  public static int addressOf(Inet4Address address) {
    return ByteBuffer.wrap(address.getAddress()).getInt();
  }

  /** As people write it. */
  static String text(int address) {
    return "%d.%d.%d.%d"
        .formatted(address >>> 24, address >>> 16 & 0xff, address >>> 8 & 0xff, address & 0xff);
  }

  static InetAddress inet(int address) {
    try {
      return InetAddress.getByAddress(ByteBuffer.allocate(Integer.BYTES).putInt(address).array());
    } catch (UnknownHostException e) {
      throw new IllegalStateException("it has four bytes", e);
    }
  }

  public boolean isHost() {
    return prefixLength == BITS;
  }

  public boolean contains(int other) {
    return (other & mask(prefixLength)) == address;
  }

  public boolean liesWithin(Ipv4Network other) {
    return prefixLength >= other.prefixLength && other.contains(address);
  }

  boolean overlaps(Ipv4Network other) {
    return liesWithin(other) || other.liesWithin(this);
  }

  /** How many addresses it has. */
  long size() {
    return 1L << (BITS - prefixLength);
  }

  /** Whether guests can have addresses of it. */
  public boolean canBeAPool() {
    boolean hasSize = prefixLength >= LEAST_POOL_PREFIX && prefixLength <= MOST_POOL_PREFIX;
    return hasSize && RESERVED.stream().noneMatch(this::overlaps);
  }

  private static int mask(int prefixLength) {
    return prefixLength == 0 ? 0 : -1 << (BITS - prefixLength);
  }

  @Override
  public String toString() {
    return isHost() ? text(address) : text(address) + "/" + prefixLength;
  }
}
