package dev.vireo.scheduler;

/**
 * Why one node cannot take a microVM.
 *
 * <p>Refusals of the same {@link #group} are summed up in one phrase, told by the least bad of
 * them.
 */
public sealed interface Refusal {
  /** The worker has no session, or its lease has ended. */
  record NotReady() implements Refusal {
    @Override
    public String phrase(int nodes) {
      return verb(nodes, "is", "are") + " not ready";
    }
  }

  /** An operator has closed the node for new microVMs. */
  record Cordoned() implements Refusal {
    @Override
    public String phrase(int nodes) {
      return verb(nodes, "is", "are") + " cordoned";
    }
  }

  /** The node refused this microVM a moment ago. */
  record JustRefused() implements Refusal {
    @Override
    public String phrase(int nodes) {
      return verb(nodes, "has", "have") + " just refused it";
    }
  }

  /** A label that the node selector asks for is missing or different. */
  record LabelMissing(String key, String value) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s not labelled %s=%s".formatted(verb(nodes, "is", "are"), key, value);
    }
  }

  /** The node has another architecture. */
  record OtherArchitecture(String architecture) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s %s".formatted(verb(nodes, "is", "are"), architecture);
    }
  }

  /** The node's image store does not have the kernel. */
  record ImageMissing(String image) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s image %s".formatted(verb(nodes, "lacks", "lack"), image);
    }
  }

  /** The image is there, built for another architecture. */
  record ImageOfOtherArchitecture(String image, String architecture) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s image %s for %s only".formatted(verb(nodes, "has", "have"), image, architecture);
    }
  }

  /** A Linux guest on a KVM without hardware virtualization. */
  record NoLinuxGuests() implements Refusal {
    @Override
    public String phrase(int nodes) {
      return verb(nodes, "cannot", "cannot")
          + " boot Linux guests (no hardware virtualization; vireo node add --emulated adds a node"
          + " that can)";
    }
  }

  /** Node and kernel do not both know this way to announce devices. */
  record AnnouncementMissing(String announcement) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s announcement %s".formatted(verb(nodes, "lacks", "lack"), announcement);
    }
  }

  /** A device's back end is not there. */
  record BackEndMissing(String backEnd) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s back end %s".formatted(verb(nodes, "lacks", "lack"), backEnd);
    }
  }

  /** More vCPUs than one microVM can have there. */
  record TooManyVcpus(long need, long most) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s too few vCPUs for one microVM (need %d, at most %d)"
          .formatted(verb(nodes, "has", "have"), need, most);
    }

    @Override
    public long headroom() {
      return most;
    }
  }

  /** The CPUs are promised to others. */
  record LacksCpu(long needMilli, long freeMilli) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s CPU (need %s, free %s)"
          .formatted(verb(nodes, "lacks", "lack"), cpus(needMilli), cpus(freeMilli));
    }

    @Override
    public long headroom() {
      return freeMilli;
    }

    private static String cpus(long milli) {
      return milli % 1000 == 0
          ? Long.toString(milli / 1000)
          : "%d.%03d".formatted(milli / 1000, milli % 1000);
    }
  }

  /** The memory is promised to others. */
  record LacksMemory(long needMib, long freeMib) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s memory (need %d MiB, free %d)"
          .formatted(verb(nodes, "lacks", "lack"), needMib, freeMib);
    }

    @Override
    public long headroom() {
      return freeMib;
    }
  }

  /** What follows the number of nodes in a sentence: "lack memory (need 512 MiB, free 96)". */
  String phrase(int nodes);

  /** Of a quantity that is short, what there is; the most of a group is told. */
  default long headroom() {
    return 0;
  }

  /**
   * Refusals with equal groups are counted together: of one kind and, but for quantities, equal.
   */
  default Object group() {
    return switch (this) {
      case TooManyVcpus _, LacksCpu _, LacksMemory _ -> getClass();
      case NotReady _,
          Cordoned _,
          JustRefused _,
          LabelMissing _,
          OtherArchitecture _,
          ImageMissing _,
          ImageOfOtherArchitecture _,
          NoLinuxGuests _,
          AnnouncementMissing _,
          BackEndMissing _ ->
          this;
    };
  }

  private static String verb(int nodes, String one, String several) {
    return nodes == 1 ? one : several;
  }
}
