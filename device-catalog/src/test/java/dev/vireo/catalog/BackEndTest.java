package dev.vireo.catalog;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class BackEndTest {
  @Test
  void onlyWhatIsImplementedIsAvailable() {
    assertEquals(
        List.of(
            BackEnd.BLK_FILE,
            BackEnd.BLK_IO_URING,
            BackEnd.NET_TAP,
            BackEnd.NET_ROUTED,
            BackEnd.VSOCK_UNIX,
            BackEnd.CONSOLE_UNIX,
            BackEnd.RNG_HOST,
            BackEnd.BALLOON_HOST,
            BackEnd.MEM_HOST),
        BackEnd.allAvailable());
  }

  @Test
  void isNotServedWithoutTheDeviceFileThatItOpens() {
    assertEquals(BackEnd.allAvailable(), BackEnd.availableOn(file -> true));
    assertEquals(
        List.of(
            BackEnd.BLK_FILE,
            BackEnd.BLK_IO_URING,
            BackEnd.VSOCK_UNIX,
            BackEnd.CONSOLE_UNIX,
            BackEnd.RNG_HOST,
            BackEnd.BALLOON_HOST,
            BackEnd.MEM_HOST),
        BackEnd.availableOn(file -> !file.equals("/dev/net/tun")));
  }

  @Test
  void isFoundByItsName() {
    assertEquals(Optional.of(BackEnd.BLK_FILE), BackEnd.named("blk/file"));
    assertEquals(Optional.of(BackEnd.NET_VHOST), BackEnd.named("net/vhost"));
    assertEquals(Optional.empty(), BackEnd.named("blk/floppy"));
  }

  @Test
  void namesAreUniqueAndStartWithTheirModel() {
    var names = Arrays.stream(BackEnd.values()).map(BackEnd::qualifiedName);
    assertEquals(BackEnd.values().length, names.collect(Collectors.toSet()).size());
    for (BackEnd backEnd : BackEnd.values()) {
      assertTrue(backEnd.qualifiedName().startsWith(backEnd.model().label() + "/"));
    }
  }
}
