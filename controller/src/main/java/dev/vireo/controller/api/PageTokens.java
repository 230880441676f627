package dev.vireo.controller.api;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.errors.Errors.FieldViolation;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Makes and reads page tokens. A token says where the page before ended; it is sealed together with
 * the parameters of its list, so that it is good for nothing else.
 */
public final class PageTokens {
  private static final String MAC = "HmacSHA256";
  private static final int SEAL_BYTES = 16;

  private final SecretKeySpec key;

  /**
   * @param secret at least 32 bytes, the same for as long as tokens shall be good
   */
  public PageTokens(byte[] secret) {
    this.key = new SecretKeySpec(secret, MAC);
  }

  /**
   * Where a list goes on.
   *
   * @param after the last name of the page before
   * @param version of the list's first page
   */
  record Position(String after, long version) {}

  String encode(String list, Position position) {
    byte[] after = position.after.getBytes(StandardCharsets.UTF_8);
    byte[] payload =
        ByteBuffer.allocate(Long.BYTES + after.length).putLong(position.version).put(after).array();
    byte[] token =
        ByteBuffer.allocate(SEAL_BYTES + payload.length)
            .put(seal(list, payload))
            .put(payload)
            .array();
    return Base64.getUrlEncoder().withoutPadding().encodeToString(token);
  }

  /**
   * Reads a token; the empty one stands for the beginning.
   *
   * @param list the list's kind and parameters, but for the page's size
   */
  Optional<Position> decode(String list, String token) {
    if (token.isEmpty()) {
      return Optional.empty();
    }
    byte[] bytes;
    try {
      bytes = Base64.getUrlDecoder().decode(token);
    } catch (IllegalArgumentException e) {
      throw invalid();
    }
    if (bytes.length < SEAL_BYTES + Long.BYTES) {
      throw invalid();
    }
    byte[] payload = Arrays.copyOfRange(bytes, SEAL_BYTES, bytes.length);
    if (!MessageDigest.isEqual(seal(list, payload), Arrays.copyOf(bytes, SEAL_BYTES))) {
      throw invalid();
    }
    return Optional.of(
        new Position(
            new String(payload, Long.BYTES, payload.length - Long.BYTES, StandardCharsets.UTF_8),
            ByteBuffer.wrap(payload).getLong()));
  }

  private byte[] seal(String list, byte[] payload) {
    try {
      Mac mac = Mac.getInstance(MAC);
      mac.init(key);
      byte[] context = list.getBytes(StandardCharsets.UTF_8);
      mac.update(ByteBuffer.allocate(Integer.BYTES).putInt(context.length).array());
      mac.update(context);
      return Arrays.copyOf(mac.doFinal(payload), SEAL_BYTES);
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("every JDK has " + MAC, e);
    }
  }

  private static RuntimeException invalid() {
    return Errors.badRequest(
        List.of(
            new FieldViolation(
                "page_token",
                ErrorReason.PAGE_TOKEN_INVALID,
                "was not made by this list with these parameters.")));
  }
}
