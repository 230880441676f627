package dev.vireo.controller.reconcile;

import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.MicroVmChange;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.time.TimeSource;
import java.time.Instant;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ConcurrentSkipListSet;

/** Knows which microVMs' time to live ends next. */
final class Deadlines {
  private final ConcurrentSkipListSet<Deadline> deadlines = new ConcurrentSkipListSet<>();
  private final TimeSource time;

  private record Deadline(Instant at, String uid) implements Comparable<Deadline> {
    private static final Comparator<Deadline> ORDER =
        Comparator.comparing(Deadline::at).thenComparing(Deadline::uid);

    @Override
    public int compareTo(Deadline other) {
      return ORDER.compare(this, other);
    }
  }

  Deadlines(MicroVms microVms, TimeSource time) {
    this.time = time;
    microVms.listen(this::onChange);
    microVms.all().forEach(microVm -> deadline(microVm).ifPresent(deadlines::add));
  }

  private void onChange(MicroVmChange change) {
    deadline(change.microVm())
        .ifPresent(deadline -> {
          if (change.present().isPresent() && !Lifecycle.isDeleting(change.microVm().microVm())) {
            deadlines.add(deadline);
          } else {
            deadlines.remove(deadline);
          }
        });
  }

  /** The uids of those whose time has come and whose deletion has not begun. */
  List<String> due() {
    Instant now = time.now();
    return deadlines.stream()
        .takeWhile(deadline -> !deadline.at.isAfter(now))
        .map(Deadline::uid)
        .toList();
  }

  private static Optional<Deadline> deadline(StoredMicroVm microVm) {
    return Lifecycle.expiry(microVm.microVm()).map(at -> new Deadline(at, microVm.uid()));
  }
}
