package dev.vireo.worker.vmm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class FrameReaderTest {
  private final FrameReader reader = new FrameReader();

  @Test
  void putsMessagesTogetherFromAnyPieces() throws Exception {
    Random random = new Random(7);
    List<byte[]> sent = new ArrayList<>();
    ByteArrayOutputStream stream = new ByteArrayOutputStream();
    for (int length : new int[] {0, 1, 127, 128, 300, 16_384, 100_000, 0, 5}) {
      byte[] message = new byte[length];
      random.nextBytes(message);
      sent.add(message);
      writeVarint(stream, length);
      stream.write(message);
    }
    byte[] all = stream.toByteArray();
    List<byte[]> received = new ArrayList<>();
    for (int at = 0; at < all.length; ) {
      int piece = Math.min(all.length - at, 1 + random.nextInt(700));
      reader.append(MemorySegment.ofArray(all).asSlice(at, piece));
      at += piece;
      for (byte[] next = reader.next(); next != null; next = reader.next()) {
        received.add(next);
      }
    }
    assertEquals(sent.size(), received.size());
    for (int i = 0; i < sent.size(); i++) {
      assertArrayEquals(sent.get(i), received.get(i));
    }
  }

  @Test
  void waitsForTheRest() throws Exception {
    append(3, 'a', 'b');
    assertNull(reader.next());
    append('c');
    assertArrayEquals(new byte[] {'a', 'b', 'c'}, reader.next());
    assertNull(reader.next());
  }

  @Test
  void aLengthThatNoMessageHasIsAnError() {
    append(0xff, 0xff, 0xff, 0x7f);
    assertThrows(FrameReader.BrokenFrameException.class, reader::next);
  }

  @Test
  void soIsALengthWithoutEnd() {
    append(0x80, 0x80, 0x80, 0x80, 0x80);
    assertThrows(FrameReader.BrokenFrameException.class, reader::next);
  }

  private void append(int... octets) {
    byte[] bytes = new byte[octets.length];
    for (int i = 0; i < octets.length; i++) {
      bytes[i] = (byte) octets[i];
    }
    reader.append(MemorySegment.ofArray(bytes));
  }

  private static void writeVarint(ByteArrayOutputStream out, int value) {
    int rest = value;
    while (rest > 0x7f) {
      out.write((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    out.write(rest);
  }
}
