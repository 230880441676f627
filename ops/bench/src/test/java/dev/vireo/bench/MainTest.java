package dev.vireo.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;

class MainTest {
  @Test
  void anOptionAndItsValueMayBeOneWord() {
    assertEquals(
        List.of("devices", "--only", "net", "--output", "json", "-o=table"),
        Main.words(List.of("devices", "--only=net", "--output=json", "-o=table")));
  }
}
