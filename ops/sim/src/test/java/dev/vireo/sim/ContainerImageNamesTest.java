package dev.vireo.sim;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.controller.placement.ContainerImageNames;
import dev.vireo.images.ImageException;
import dev.vireo.images.container.ImageName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Controller and node read a container image's name alike, which do not know each other. */
class ContainerImageNamesTest {
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
    String told = ImageName.parse(text).toString();
    assertEquals(told, ContainerImageNames.canonical(text));
    assertEquals(told, ContainerImageNames.canonical(told), "and stays as it is");
  }
}
