package dev.vireo.sim;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.images.ImageException;
import dev.vireo.images.container.ImageName;
import dev.vireo.proto.image.ImageNames;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Controller, client and node read a container image's name alike, who do not know each other. */
class ImageNamesTest {
  private static final String DIGEST =
      "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

  @ParameterizedTest
  @ValueSource(
      strings = {
        "busybox",
        "busybox:1.37",
        "library/busybox",
        "alpine",
        "alpine:3.20",
        "owner/name",
        "owner/name:tag",
        "docker.io/alpine",
        "docker.io/owner/alpine:1",
        "index.docker.io/alpine",
        "registry-1.docker.io/library/alpine:1",
        "ghcr.io/owner/name",
        "ghcr.io/owner/a/b/c:tag",
        "localhost/x",
        "localhost:5000/x",
        "127.0.0.1:5000/x:1",
        "host:5000/a/b",
        "[::1]:5000/x:2",
        "alpine" + DIGEST,
        "alpine:1" + DIGEST,
        "host:5000/x" + DIGEST,
        "ghcr.io/owner/name:tag" + DIGEST,
      })
  void whatIsLeftOutIsFilledInAlike(String text) throws ImageException {
    ImageName name = ImageName.parse(text);
    String told = name.toString();
    assertEquals(told, ImageNames.canonical(text));
    assertEquals(told, ImageNames.canonical(told), "and stays as it is");
    if (name instanceof ImageName.InRegistry) {
      assertEquals(told, ImageNames.inRegistry(text));
    }
  }

  /** An id is none to a node either, where only a name can be: as that of what is loaded. */
  @Test
  void whatIsLoadedByAnIdIsNamedLikeIt() throws ImageException {
    String id = "sha256:0123";
    assertEquals(ImageName.parse(id).toString(), ImageNames.inRegistry(id));
  }
}
