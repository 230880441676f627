package dev.vireo.worker.microvm;

import dev.vireo.proto.worker.v1.MicroVmRecord;
import dev.vireo.worker.state.AtomicFile;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A microVM's record: what the next worker must know of it, in memory and in the microVM's
 * directory. All of it runs in the microVM's mailbox.
 */
final class RecordFile {
  private static final System.Logger LOG = System.getLogger("microvm");
  private static final String NAME = "record";

  private final Path directory;
  private final Path file;
  private MicroVmRecord record = MicroVmRecord.getDefaultInstance();
  private boolean written = true;

  RecordFile(Path directory) {
    this.directory = directory;
    this.file = directory.resolve(NAME);
  }

  /** What an earlier worker has written. */
  static MicroVmRecord read(Path directory) throws IOException {
    return MicroVmRecord.parseFrom(Files.readAllBytes(directory.resolve(NAME)));
  }

  MicroVmRecord get() {
    return record;
  }

  /** A copy to be changed. */
  MicroVmRecord.Builder edit() {
    return record.toBuilder();
  }

  /** In memory alone: it is written down with what comes next. */
  void set(MicroVmRecord changed) {
    record = changed;
  }

  void set(MicroVmRecord.Builder changed) {
    set(changed.build());
  }

  /** Whether the last that was to be written down was; what has no directory has no successor. */
  boolean isWritten() {
    return written;
  }

  /** Writes down what is in memory; makes the directory if there is none. */
  void write() throws IOException {
    written = false;
    if (Files.isDirectory(directory)) {
      AtomicFile.write(file, record.toByteArray());
    } else {
      // One that is cut short by a kill says that nothing was begun, which is true.
      Files.createDirectory(directory);
      Files.write(file, record.toByteArray());
    }
    written = true;
  }

  /** As far as it can: if not, a successor knows less, and what runs goes on. */
  void save(MicroVmRecord.Builder changed) {
    set(changed);
    written = false;
    try {
      if (Files.isDirectory(directory)) {
        AtomicFile.write(file, record.toByteArray());
      }
      written = true;
    } catch (IOException e) {
      LOG.log(
          Level.WARNING,
          "{0}: cannot write its record: {1}",
          record.getAssignment().getName(),
          e.toString());
    }
  }
}
