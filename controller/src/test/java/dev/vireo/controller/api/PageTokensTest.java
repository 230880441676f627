package dev.vireo.controller.api;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.vireo.controller.api.PageTokens.Position;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import io.grpc.StatusRuntimeException;
import java.util.Base64;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class PageTokensTest {
  private static final Position POSITION = new Position("projects/p/microvms/é", 42);

  private final PageTokens tokens = new PageTokens(new byte[32]);
  private final String token = tokens.encode("list", POSITION);

  @Test
  void aTokenSaysWhereItsListGoesOn() {
    assertEquals(Optional.of(POSITION), tokens.decode("list", token));
    assertEquals(Optional.empty(), tokens.decode("list", ""));
  }

  @Test
  void anotherListRefusesIt() {
    assertRefused(tokens, "list?other", token);
  }

  @Test
  void anotherServerRefusesIt() {
    byte[] otherSecret = new byte[32];
    otherSecret[0] = 1;
    assertRefused(new PageTokens(otherSecret), "list", token);
  }

  @Test
  void notABitOfItCanBeChanged() {
    byte[] bytes = Base64.getUrlDecoder().decode(token);
    for (int bit = 0; bit < bytes.length * 8; bit++) {
      byte[] changed = bytes.clone();
      changed[bit / 8] ^= (byte) (1 << (bit % 8));
      assertRefused(
          tokens, "list", Base64.getUrlEncoder().withoutPadding().encodeToString(changed));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"x", "!!!", "AAAA", "projects/p/microvms/a", "0"})
  void whatIsNoTokenIsRefused(String garbage) {
    assertRefused(tokens, "list", garbage);
  }

  private static void assertRefused(PageTokens tokens, String list, String token) {
    StatusRuntimeException refused =
        assertThrows(StatusRuntimeException.class, () -> tokens.decode(list, token));
    assertEquals(Optional.of(ErrorReason.PAGE_TOKEN_INVALID), Errors.reasonOf(refused));
  }
}
