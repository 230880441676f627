package dev.vireo.cli;

import com.google.protobuf.ByteString;
import java.io.PrintStream;
import java.util.function.Consumer;

/**
 * Makes a guest's bytes harmless to the terminal they are shown on. Text, line ends, tabs,
 * backspace and colours pass; every other control character and escape sequence is dropped, since a
 * terminal obeys them: they set titles, move into other lines, answer as if the user had typed.
 */
final class TerminalFilter implements Consumer<ByteString> {
  private static final int ESCAPE = 0x1b;
  private static final int LONGEST_SEQUENCE = 32;

  private enum State {
    TEXT,
    ESCAPED,
    /** Control Sequence Introducer: ESC [, parameters, one final byte. */
    CSI,
    /** Operating System Command and the like: ends with BEL or ESC \. */
    STRING
  }

  private final PrintStream out;
  private final StringBuilder sequence = new StringBuilder();
  private State state = State.TEXT;

  TerminalFilter(PrintStream out) {
    this.out = out;
  }

  @Override
  public void accept(ByteString bytes) {
    for (int i = 0; i < bytes.size(); i++) {
      accept(bytes.byteAt(i) & 0xff);
    }
    out.flush();
  }

  private void accept(int octet) {
    switch (state) {
      case TEXT -> text(octet);
      case ESCAPED -> escaped(octet);
      case CSI -> csi(octet);
      case STRING -> {
        if (octet == 0x07 || octet == '\n') {
          state = State.TEXT;
        } else if (octet == ESCAPE) {
          state = State.ESCAPED;
        }
      }
    }
  }

  private void text(int octet) {
    if (octet == ESCAPE) {
      state = State.ESCAPED;
    } else if (isText(octet)) {
      out.write(octet);
    }
  }

  private static boolean isText(int octet) {
    return (octet >= 0x20 && octet != 0x7f) || (octet >= '\b' && octet <= '\n') || octet == '\r';
  }

  private void escaped(int octet) {
    sequence.setLength(0);
    state =
        switch (octet) {
          case '[' -> State.CSI;
          case ']', 'P', 'X', '^', '_' -> State.STRING;
          default -> State.TEXT;
        };
  }

  private void csi(int octet) {
    boolean parameter = octet >= '0' && octet <= ';';
    if (parameter && sequence.length() < LONGEST_SEQUENCE) {
      sequence.append((char) octet);
    } else if (octet == 'm') {
      out.print("\u001b[" + sequence + "m");
      state = State.TEXT;
    } else if (octet == ESCAPE) {
      state = State.ESCAPED;
    } else if (octet >= 0x40 && octet <= 0x7e) {
      state = State.TEXT;
    }
  }
}
