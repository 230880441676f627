package dev.vireo.vmm.machine;

import dev.vireo.linux.Fd;
import dev.vireo.vmm.boot.TinyKernel;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/** Assembles guests of a few instructions: 32-bit protected mode, flat segments, no stack. */
final class GuestCode {
  private static final int SERIAL = 0x3f8;
  private static final int PM1_CONTROL = 0x604;

  private final ByteArrayOutputStream code = new ByteArrayOutputStream();

  private GuestCode bytes(int... values) {
    for (int value : values) {
      code.write(value);
    }
    return this;
  }

  private GuestCode int32(long value) {
    return bytes((int) value, (int) (value >>> 8), (int) (value >>> 16), (int) (value >>> 24));
  }

  /** {@code mov edx, port; mov eax, value; out dx, al|ax|eax}. */
  GuestCode out(int port, int width, int value) {
    bytes(0xba).int32(port).bytes(0xb8).int32(value);
    return switch (width) {
      case 1 -> bytes(0xee);
      case 2 -> bytes(0x66, 0xef);
      default -> bytes(0xef);
    };
  }

  /** {@code mov edx, port; in al|ax|eax, dx}. */
  GuestCode in(int port, int width) {
    bytes(0xba).int32(port);
    return switch (width) {
      case 1 -> bytes(0xec);
      case 2 -> bytes(0x66, 0xed);
      default -> bytes(0xed);
    };
  }

  GuestCode print(String text) {
    for (byte octet : text.getBytes(StandardCharsets.US_ASCII)) {
      out(SERIAL, 1, octet);
    }
    return this;
  }

  /** Prints what {@code al} holds. */
  GuestCode printAl() {
    return bytes(0xba).int32(SERIAL).bytes(0xee);
  }

  /** {@code mov [address], value}. */
  GuestCode store(long address, int width, int value) {
    return switch (width) {
      case 1 -> bytes(0xc6, 0x05).int32(address).bytes(value);
      case 2 -> bytes(0x66, 0xc7, 0x05).int32(address).bytes(value, value >>> 8);
      default -> bytes(0xc7, 0x05).int32(address).int32(value);
    };
  }

  /** {@code mov al|ax|eax, [address]}. */
  GuestCode load(long address, int width) {
    return switch (width) {
      case 1 -> bytes(0xa0).int32(address);
      case 2 -> bytes(0x66, 0xa1).int32(address);
      default -> bytes(0xa1).int32(address);
    };
  }

  /** {@code hlt; jmp} back to it: sleeps for good, since interrupts are off. */
  GuestCode sleep() {
    return bytes(0xf4, 0xeb, 0xfd);
  }

  /** {@code jmp} to itself: never exits. */
  GuestCode spin() {
    return bytes(0xeb, 0xfe);
  }

  /** {@code mov edx, port; again: out dx, al; jmp again}: exits all the time. */
  GuestCode outForEver(int port) {
    return bytes(0xba).int32(port).bytes(0xee, 0xeb, 0xfd);
  }

  GuestCode powerOff() {
    return out(PM1_CONTROL, 2, 0x2000).sleep();
  }

  /** {@code lidt} of nothing, then an undefined instruction. */
  GuestCode tripleFault() {
    // lidt [0], where memory is zero: base and limit 0.
    return bytes(0x0f, 0x01, 0x1d).int32(0).bytes(0x0f, 0x0b);
  }

  /** As a PVH kernel. */
  Fd kernel() {
    return TinyKernel.file(TinyKernel.pvh(code.toByteArray()));
  }
}
