package dev.vireo.proto.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** That nodes read other names alike is tested where they are known, in {@code ops/sim}. */
final class ImageNamesTest {
  private static final String ID = "sha256:" + "0".repeat(64);

  @Test
  void whatIsLeftOutIsFilledIn() {
    assertEquals("docker.io/library/x:latest", ImageNames.canonical("x"));
    assertEquals("docker.io/library/x:1", ImageNames.canonical("x:1"));
    assertEquals("docker.io/owner/x:latest", ImageNames.canonical("index.docker.io/owner/x"));
    assertEquals("host:5000/x@" + ID, ImageNames.canonical("host:5000/x@" + ID));
  }

  @Test
  void vireosOwnImageAndAnIdHaveNoRegistry() {
    assertEquals("busybox", ImageNames.canonical("busybox"));
    assertEquals(ID, ImageNames.canonical(ID));
    assertTrue(ImageNames.isId(ID));
    assertFalse(ImageNames.isId("sha256"));
    assertFalse(ImageNames.isId("x@" + ID));
  }

  @Test
  void whatIsLoadedByThoseNamesHas() {
    assertEquals("docker.io/library/busybox:latest", ImageNames.inRegistry("busybox"));
    assertEquals("docker.io/library/sha256:0123", ImageNames.inRegistry("sha256:0123"));
    assertEquals(ImageNames.canonical("owner/x"), ImageNames.inRegistry("owner/x"));
  }
}
