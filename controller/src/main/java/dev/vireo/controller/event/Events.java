package dev.vireo.controller.event;

import dev.vireo.controller.lifecycle.ConditionReason;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.MicroVmChange;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.proto.time.Timestamps;
import dev.vireo.proto.v1.Condition;
import dev.vireo.proto.v1.Event;
import dev.vireo.proto.v1.MicroVm;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The last events: each a condition of a microVM that has come to have another status or reason.
 *
 * <p>In memory, and bounded: an event costs no write. Reasons that only say that something has not
 * happened yet are no events.
 */
public final class Events {
  public static final String CREATED = "Created";
  public static final String DELETING = "Deleting";
  public static final String DELETED = "Deleted";

  private static final Set<String> NO_NEWS =
      Stream.of(
              ConditionReason.IN_PROGRESS,
              ConditionReason.NOT_RUNNING,
              ConditionReason.NOT_READY,
              ConditionReason.RUNNING)
          .map(ConditionReason::apiName)
          .collect(Collectors.toSet());

  private final TimeSource time;
  private final String epoch;
  private final int capacity;

  /** Guards what follows. */
  private final Object lock = new Object();

  private final Map<String, MicroVm> before = new HashMap<>();
  private final Deque<Event> last = new ArrayDeque<>();

  /** Of the next event; the first is 1. */
  private long next = 1;

  /**
   * Some events.
   *
   * @param events the oldest first
   * @param last the number of the last one that was looked at
   * @param forgotten how many before these are no longer known
   */
  public record Page(List<Event> events, long last, long forgotten) {}

  /**
   * @param epoch what no others have: numbers are good for these events only
   * @param capacity how many are remembered
   */
  public Events(MicroVms microVms, TimeSource time, UUID epoch, int capacity) {
    this.time = time;
    this.epoch = epoch.toString();
    this.capacity = capacity;
    synchronized (lock) {
      microVms.listen(this::onChange);
      microVms.all().forEach(microVm -> before.putIfAbsent(microVm.uid(), microVm.microVm()));
    }
  }

  /** Which events these are: those of another process have other numbers. */
  public String epoch() {
    return epoch;
  }

  /** Those after a number, at most so many of those asked for. */
  public Page after(long number, Predicate<Event> wanted, int most) {
    synchronized (lock) {
      long first = next - last.size();
      List<Event> page = new ArrayList<>();
      long at = first;
      for (Event event : last) {
        if (at > number && wanted.test(event)) {
          if (page.size() == most) {
            return new Page(page, at - 1, Math.max(0, first - 1 - number));
          }
          page.add(event);
        }
        at++;
      }
      return new Page(page, Math.max(number, next - 1), Math.max(0, first - 1 - number));
    }
  }

  private void onChange(MicroVmChange change) {
    synchronized (lock) {
      StoredMicroVm now = change.microVm();
      if (change.present().isEmpty()) {
        before.remove(now.uid());
        add(event(now, change.version(), DELETED, DELETED, ""));
        return;
      }
      MicroVm known = before.put(now.uid(), now.microVm());
      if (known == null) {
        add(event(now, now.version(), CREATED, CREATED, ""));
      }
      if (Lifecycle.isDeleting(now.microVm()) && (known == null || !Lifecycle.isDeleting(known))) {
        add(event(now, now.version(), DELETING, DELETING, ""));
      }
      for (Condition condition : now.microVm().getStatus().getConditionsList()) {
        if (isNews(condition, known)) {
          add(
              event(
                      now,
                      now.version(),
                      condition.getType(),
                      condition.getReason(),
                      condition.getMessage())
                  .setStatus(condition.getStatus()));
        }
      }
    }
  }

  private static boolean isNews(Condition condition, @Nullable MicroVm known) {
    return !NO_NEWS.contains(condition.getReason())
        && Optional.ofNullable(known).stream()
            .flatMap(microVm -> microVm.getStatus().getConditionsList().stream())
            .noneMatch(old -> isSame(old, condition));
  }

  private static boolean isSame(Condition one, Condition other) {
    return one.getType().equals(other.getType())
        && one.getStatus() == other.getStatus()
        && one.getReason().equals(other.getReason());
  }

  private Event.Builder event(
      StoredMicroVm microVm, long version, String type, String reason, String message) {
    Instant now = time.now();
    return Event.newBuilder()
        .setResource(microVm.name())
        .setUid(microVm.uid())
        .setTime(Timestamps.of(now))
        .setType(type)
        .setReason(reason)
        .setMessage(message)
        .setNode(microVm.microVm().getStatus().getNode())
        .setResourceVersion(version);
  }

  private void add(Event.Builder event) {
    last.addLast(event.build());
    next++;
    if (last.size() > capacity) {
      last.removeFirst();
    }
  }
}
