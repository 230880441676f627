package dev.vireo.images.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.ImageException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Names of images, as docker reads them. */
class ImageNameTest {
  private static final String DIGEST = "sha256:" + "0123456789abcdef".repeat(4);

  @ParameterizedTest
  @CsvSource({
    "alpine, docker.io/library/alpine:latest",
    "alpine:3.20, docker.io/library/alpine:3.20",
    "busybox:latest, docker.io/library/busybox:latest",
    "library/alpine, docker.io/library/alpine:latest",
    "owner/name, docker.io/owner/name:latest",
    "docker.io/x, docker.io/library/x:latest",
    "index.docker.io/library/x, docker.io/library/x:latest",
    "localhost/x, localhost/x:latest",
    "localhost:5000/x, localhost:5000/x:latest",
    "10.0.0.1:65535/x, 10.0.0.1:65535/x:latest",
    "[::1]:5000/x, '[::1]:5000/x:latest'",
    "ghcr.io/a/b/c__d-e.f:T_a.g-1, ghcr.io/a/b/c__d-e.f:T_a.g-1",
    "x@DIGEST, docker.io/library/x@DIGEST",
    "host:5000/x:tag@DIGEST, host:5000/x:tag@DIGEST",
  })
  void whatIsLeftOutIsFilledIn(String text, String whole) throws Exception {
    ImageName name = ImageName.parse(text.replace("DIGEST", DIGEST));

    assertEquals(whole.replace("DIGEST", DIGEST), name.toString());
    assertEquals(name, ImageName.parse(name.toString()));
  }

  @Test
  void busyboxAloneIsVireosOwn() throws Exception {
    assertInstanceOf(ImageName.BuiltIn.class, ImageName.parse("busybox"));
    assertEquals("busybox", ImageName.parse("busybox").toString());
  }

  @ParameterizedTest
  @CsvSource({
    "'', the repository's part \"\"",
    "Alpine, the repository's part \"Alpine\"",
    "a//b, the repository's part \"\"",
    "a/../b, the repository's part \"..\"",
    "a b, the repository's part \"a b\"",
    "-a, the repository's part \"-a\"",
    "x:, the tag \"\"",
    "x:-a, the tag \"-a\"",
    "x@sha256:123, the digest \"sha256:123\"",
    "x@md5:0123, the digest \"md5:0123\"",
    "host:port/x, the registry \"host:port\"",
    "host:99999/x, the registry \"host:99999\"",
    "10.0.0/x, the registry \"10.0.0\"",
    "a..b/x, the registry \"a..b\"",
    "-host.example/x, the registry \"-host.example\"",
  })
  void whatIsWrongIsTold(String text, String part) {
    ImageException refusal = assertThrows(ImageException.class, () -> ImageName.parse(text));

    assertEquals(ImageException.Reason.NAME_INVALID, refusal.reason());
    assertTrue(String.valueOf(refusal.getMessage()).contains(part), refusal::getMessage);
  }

  @Test
  void aNameHasAnEnd() {
    assertThrows(ImageException.class, () -> ImageName.parse("a/".repeat(130) + "b"));
    assertThrows(ImageException.class, () -> ImageName.parse("a:" + "t".repeat(129)));
  }
}
