package dev.vireo.vmm.machine;

import static dev.vireo.catalog.X86Platform.PM1A_EVENT_PORT;
import static dev.vireo.catalog.X86Platform.RESET_NOW;
import static dev.vireo.catalog.X86Platform.RESET_PORT;
import static dev.vireo.catalog.X86Platform.SERIAL_PORT;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import dev.vireo.vmm.kvm.X86Vcpu;
import dev.vireo.vmm.machine.ExitCounters.Cause;
import java.lang.foreign.MemorySegment;

/**
 * Routes the accesses to I/O ports that KVM does not serve itself to the legacy device behind them,
 * and counts them. Where nothing is, reads give all ones and writes go nowhere, as on a PC.
 */
final class PortBus {
  private static final int SERIAL_PORTS = 8;
  private static final int KEYBOARD_DATA = 0x60;
  private static final int KEYBOARD_STATUS = 0x64;

  /** The keyboard controller's command that pulses the reset line. */
  private static final int KEYBOARD_RESET = 0xfe;

  /** The port whose writes kernels use to wait a microsecond. */
  private static final int DELAY = 0x80;

  private static final long NOTHING = -1;

  private final Serial16550 serial;
  private final CmosClock cmos;
  private final PowerManagement power;
  private final Runnable reset;

  /**
   * @param reset the guest asks for a reset of the machine
   */
  PortBus(Serial16550 serial, CmosClock cmos, PowerManagement power, Runnable reset) {
    this.serial = serial;
    this.cmos = cmos;
    this.power = power;
    this.reset = reset;
  }

  /** Serves the accesses for which the vCPU left the guest. */
  void serve(X86Vcpu vcpu, ExitCounters counters) {
    int port = vcpu.ioPort();
    int width = vcpu.ioSize();
    counters.count(causeOf(port));
    MemorySegment data = vcpu.ioData();
    if (vcpu.ioIsWrite() && isSerial(port) && width == 1) {
      serial.write(port - SERIAL_PORT, data);
      return;
    }
    for (long at = 0; at < data.byteSize(); at += width) {
      MemorySegment access = data.asSlice(at, width);
      if (vcpu.ioIsWrite()) {
        out(port, width, littleEndian(access));
      } else {
        putLittleEndian(access, in(port, width));
      }
    }
  }

  private static boolean isSerial(int port) {
    return port >= SERIAL_PORT && port < SERIAL_PORT + SERIAL_PORTS;
  }

  private static boolean isPower(int port, int width) {
    return port >= PM1A_EVENT_PORT && port + width <= PowerManagement.PORTS_END;
  }

  private static Cause causeOf(int port) {
    if (isSerial(port)) {
      return Cause.PIO_SERIAL;
    }
    if (isPower(port, 1)) {
      return Cause.PIO_POWER;
    }
    return switch (port) {
      case CmosClock.INDEX_PORT, CmosClock.DATA_PORT -> Cause.PIO_CMOS;
      case KEYBOARD_DATA, KEYBOARD_STATUS -> Cause.PIO_KEYBOARD;
      case RESET_PORT -> Cause.PIO_RESET;
      case DELAY -> Cause.PIO_DELAY;
      default -> Cause.PIO_UNASSIGNED;
    };
  }

  private long in(int port, int width) {
    if (isPower(port, width)) {
      return power.read(port, width);
    }
    if (width == 1) {
      if (isSerial(port)) {
        return serial.read(port - SERIAL_PORT);
      }
      if (port == CmosClock.DATA_PORT) {
        return cmos.read();
      }
    }
    // The keyboard controller is not there: its status must read all ones, or Linux waits for it.
    return NOTHING;
  }

  private void out(int port, int width, long value) {
    if (isPower(port, width)) {
      power.write(port, width, value);
    } else if (width == 1) {
      outByte(port, (int) value);
    }
  }

  private void outByte(int port, int value) {
    switch (port) {
      case CmosClock.INDEX_PORT -> cmos.select(value);
      case CmosClock.DATA_PORT -> cmos.write(value);
      case KEYBOARD_STATUS -> {
        if (value == KEYBOARD_RESET) {
          reset.run();
        }
      }
      case RESET_PORT -> {
        if ((value & RESET_NOW) != 0) {
          reset.run();
        }
      }
      default -> {}
    }
  }

  private static long littleEndian(MemorySegment bytes) {
    long value = 0;
    for (long i = bytes.byteSize() - 1; i >= 0; i--) {
      value = (value << 8) | Byte.toUnsignedLong(bytes.get(JAVA_BYTE, i));
    }
    return value;
  }

  private static void putLittleEndian(MemorySegment bytes, long value) {
    for (long i = 0; i < bytes.byteSize(); i++) {
      bytes.set(JAVA_BYTE, i, (byte) (value >>> (8 * i)));
    }
  }
}
