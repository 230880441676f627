package dev.vireo.vmm.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Fd;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ConsoleFileTest implements ConsoleFile.Listener {
  private static final long MIB = 1 << 20;

  @TempDir Path directory;

  private final List<String> told = new ArrayList<>();
  private final Arena arena = Arena.ofConfined();

  @AfterEach
  void free() {
    arena.close();
  }

  @Override
  public void consoleStarted() {
    told.add("started");
  }

  @Override
  public void consoleReady() {
    told.add("ready");
  }

  private Fd open() {
    return Fd.open(directory.resolve("console").toString(), Fd.O_RDWR | Fd.O_CREAT, 0600);
  }

  private MemorySegment bytes(String text) {
    byte[] heap = text.getBytes(StandardCharsets.UTF_8);
    return arena.allocateFrom(ValueLayout.JAVA_BYTE, heap);
  }

  @Test
  void appendsToWhatAnEarlierRunLeft() throws IOException {
    Files.writeString(directory.resolve("console"), "before\n");
    try (Fd file = open()) {
      ConsoleFile console = new ConsoleFile(file, MIB, "", this);
      console.write(bytes("after\n"));
      assertEquals(13, console.bytes());
      assertEquals("before\nafter\n", Files.readString(directory.resolve("console")));
    }
  }

  @Test
  void withoutAMarkerTheFirstByteIsReady() {
    try (Fd file = open()) {
      ConsoleFile console = new ConsoleFile(file, MIB, "", this);
      console.write(bytes("a"));
      console.write(bytes("b"));
      assertEquals(List.of("started", "ready"), told);
    }
  }

  @Test
  void markerIsFoundAcrossPiecesAndFalseStarts() {
    try (Fd file = open()) {
      ConsoleFile console = new ConsoleFile(file, MIB, "ababac", this);
      for (String piece : new String[] {"xab", "a", "bab", "ab"}) {
        console.write(bytes(piece));
      }
      assertEquals(List.of("started"), told);
      console.write(bytes("ac and more ababac"));
      assertEquals(List.of("started", "ready"), told);
    }
  }

  @Test
  void pastTheCapTheOldestBytesGoAndOffsetsStay() throws IOException {
    long cap = 256 << 10;
    String line = "0123456789abcde\n";
    try (Fd file = open()) {
      ConsoleFile console = new ConsoleFile(file, cap, "", this);
      MemorySegment block = bytes(line.repeat(256));
      for (int i = 0; i < 1024; i++) {
        console.write(block);
      }
      assertEquals(4 * MIB, console.bytes());
      assertEquals(4 * MIB, file.size(), "the offset of a byte never changes");
      assertTrue(allocatedBytes() <= cap + (192 << 10), "kept: " + allocatedBytes());
      MemorySegment tail = arena.allocate(cap);
      assertEquals(cap, file.readFully(tail, 4 * MIB - cap));
      for (long i = 0; i < cap; i++) {
        assertEquals(line.charAt((int) (i % 16)), tail.get(ValueLayout.JAVA_BYTE, i));
      }
    }
  }

  private long allocatedBytes() throws IOException {
    Process du =
        new ProcessBuilder("du", "--block-size=1", directory.resolve("console").toString()).start();
    return Long.parseLong(
        new String(du.getInputStream().readAllBytes(), StandardCharsets.UTF_8).split("\t", -1)[0]);
  }

  @Test
  void aFullDiskLosesBytesAndNothingElse() {
    try (Fd full = Fd.open("/dev/full", Fd.O_RDWR)) {
      ConsoleFile console = new ConsoleFile(full, MIB, "ready", this);
      console.write(bytes("ready"));
      assertEquals(0, console.bytes());
      assertEquals(List.of("started", "ready"), told);
    }
  }

  @Test
  void aFileThatRefusesWritesLosesBytesToo() throws IOException {
    Files.writeString(directory.resolve("console"), "before\n");
    try (Fd readOnly = Fd.open(directory.resolve("console").toString(), Fd.O_RDONLY)) {
      ConsoleFile console = new ConsoleFile(readOnly, MIB, "", this);
      console.write(bytes("x"));
      assertEquals(7, console.bytes());
    }
  }
}
