package dev.vireo.worker.boot;

import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.regex.Pattern;

/** An Ethernet address of six bytes, which stand in the lower 48 bits, the first one highest. */
public record MacAddress(long value) {
  private static final int BYTES = 6;
  private static final Pattern FORM = Pattern.compile("(\\p{XDigit}{2}:){5}\\p{XDigit}{2}");

  /** IEEE 802: the first byte's bits for "not made by a manufacturer" and "many stations". */
  private static final long LOCAL = 0x02L << 40;

  private static final long GROUP = 0x01L << 40;

  // FNV-1a's, and the finish of splitmix64, which spreads what is alike over all bits.
  private static final long FNV_OFFSET = 0xcbf29ce484222325L;
  private static final long FNV_PRIME = 0x100000001b3L;

  /**
   * Six bytes in hexadecimal with colons between.
   *
   * @throws IllegalArgumentException if it is anything else
   */
  public static MacAddress parse(String text) {
    if (!FORM.matcher(text).matches()) {
      throw new IllegalArgumentException("no MAC address: " + text);
    }
    return new MacAddress(HexFormat.fromHexDigitsToLong(text.replace(":", "")));
  }

  /**
   * The address of a network of a microVM: always the same, locally administered, and another one
   * for any other network, as far as 46 bits allow.
   */
  public static MacAddress of(String microVmUid, String network) {
    long hash = FNV_OFFSET;
    for (byte b : (microVmUid + "/" + network).getBytes(StandardCharsets.UTF_8)) {
      hash = (hash ^ b) * FNV_PRIME;
    }
    hash = (hash ^ (hash >>> 30)) * 0xbf58476d1ce4e5b9L;
    hash = (hash ^ (hash >>> 27)) * 0x94d049bb133111ebL;
    return new MacAddress(((hash >>> 16) | LOCAL) & ~GROUP);
  }

  /** In the order in which they are sent. */
  public byte[] bytes() {
    byte[] bytes = new byte[BYTES];
    for (int i = 0; i < BYTES; i++) {
      bytes[i] = (byte) (value >>> (Byte.SIZE * (BYTES - 1 - i)));
    }
    return bytes;
  }

  @Override
  public String toString() {
    return HexFormat.ofDelimiter(":").formatHex(bytes());
  }
}
