package dev.vireo.controller.api;

import com.google.protobuf.Duration;
import dev.vireo.proto.v1.TraceFilter;
import java.util.regex.Pattern;

/** Checks what a client wants to see of a VMM. Whether there is such a device, the VMM knows. */
final class TraceFilterValidator {
  private static final Pattern DEVICE = Pattern.compile("[-a-z0-9]{0,20}");
  private static final long MOST_SECONDS = 3600;

  private TraceFilterValidator() {}

  static void validate(TraceFilter filter) {
    Violations violations = new Violations();
    violations.invalidIf(
        !DEVICE.matcher(filter.getDevice()).matches(),
        "filter.device",
        "is no device's id; an inspection names those that there are.");
    violations.invalidIf(
        !isUpToAnHour(filter.getSlowerThan()), "filter.slower_than", "must be 0 s to an hour.");
    violations.throwIfAny();
  }

  private static boolean isUpToAnHour(Duration duration) {
    return FieldRules.isDuration(duration, MOST_SECONDS)
        && (duration.getSeconds() < MOST_SECONDS || duration.getNanos() == 0);
  }
}
