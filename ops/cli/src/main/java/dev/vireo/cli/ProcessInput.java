package dev.vireo.cli;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.ConsoleSize;

/** What can be said to a process in a guest, by whichever call. */
interface ProcessInput {
  /** Sends, once it takes more; false if there is nobody to send to. */
  boolean stdin(ByteString bytes);

  void stdinEnd();

  /** At once. */
  void resize(ConsoleSize size);

  /** At once; false if it cannot get there, behind input that nobody takes. */
  boolean signal(int number);
}
