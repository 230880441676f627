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

    @Override
    public String help() {
      return "Bring the node's worker back (vireo node list).";
    }
  }

  /** An operator has closed the node for new microVMs. */
  record Cordoned() implements Refusal {
    @Override
    public String phrase(int nodes) {
      return verb(nodes, "is", "are") + " cordoned";
    }

    @Override
    public String help() {
      return "Open a node for new microVMs: vireo node uncordon.";
    }
  }

  /** The node refused this microVM a moment ago. */
  record JustRefused() implements Refusal {
    @Override
    public String phrase(int nodes) {
      return verb(nodes, "has", "have") + " just refused it";
    }

    @Override
    public String help() {
      return "Nothing to do: the node is asked again in a moment. Its own words say why it refused.";
    }
  }

  /** A label that the node selector asks for is missing or different. */
  record LabelMissing(String key, String value) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s not labelled %s=%s".formatted(verb(nodes, "is", "are"), key, value);
    }

    @Override
    public String help() {
      return "Label a node: vireo node label NODE %s=%s; or select another.".formatted(key, value);
    }
  }

  /** An expression about the node's labels is not met. */
  record LabelsDiffer(String expression) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s not meet %s".formatted(verb(nodes, "does", "do"), expression);
    }

    @Override
    public String help() {
      return "Label a node so that %s (vireo node label), or ask for less.".formatted(expression);
    }
  }

  /** The node has a taint that the microVM does not tolerate. */
  record NotTolerated(String taint) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s tainted %s".formatted(verb(nodes, "is", "are"), taint);
    }

    @Override
    public String help() {
      return "Have the microVM tolerate %s, or take the taint away (vireo node taint)."
          .formatted(taint);
    }
  }

  /** A microVM is there from which this one, or which from this one, is to be kept apart. */
  record TooNear(String topology) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s microVMs to be apart from (by %s)".formatted(verb(nodes, "has", "have"), topology);
    }

    @Override
    public String help() {
      return topology.equals(PeerRule.NODE)
          ? "Add a node, or take a rule of anti-affinity back."
          : "Add nodes with another label %s, or take a rule of anti-affinity back."
              .formatted(topology);
    }
  }

  /** No microVM is there of those that this one is to be with. */
  record TooFar(String peers, String topology) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s from %s (by %s)".formatted(verb(nodes, "is away", "are away"), peers, topology);
    }

    @Override
    public String help() {
      return "Run a microVM labelled %s where there is room for this one too.".formatted(peers);
    }
  }

  /** Another domain has too few of its peers for one more here. */
  record TooCrowded(String topology, int maxSkew) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s too many of its kind (by %s, at most %d more than elsewhere)"
          .formatted(verb(nodes, "has", "have"), topology, maxSkew);
    }

    @Override
    public String help() {
      return "Make room where there are fewest of its kind (by %s), or raise max_skew."
          .formatted(topology);
    }
  }

  /** The node has another architecture. */
  record OtherArchitecture(String architecture) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s %s".formatted(verb(nodes, "is", "are"), architecture);
    }

    @Override
    public String help() {
      return "Add a node of the microVM's architecture, or leave spec.architecture to the kernel.";
    }
  }

  /** The node's image store does not have the kernel. */
  record ImageMissing(String image) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s image %s".formatted(verb(nodes, "lacks", "lack"), image);
    }

    @Override
    public String help() {
      return "Bring image %s to a node (vireo image), or boot another kernel.".formatted(image);
    }
  }

  /** The image is there, built for another architecture. */
  record ImageOfOtherArchitecture(String image, String architecture) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s image %s for %s only".formatted(verb(nodes, "has", "have"), image, architecture);
    }

    @Override
    public String help() {
      return "Build image %s for the node's architecture, too.".formatted(image);
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

    @Override
    public String help() {
      return "Add a node with hardware virtualization, or an emulated one: vireo node add --emulated.";
    }
  }

  /** Node and kernel do not both know this way to announce devices. */
  record AnnouncementMissing(String announcement) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s announcement %s".formatted(verb(nodes, "lacks", "lack"), announcement);
    }

    @Override
    public String help() {
      return "Leave spec.boot.announcement to Vireo: AUTO.";
    }
  }

  /** A device's back end is not there. */
  record BackEndMissing(String backEnd) implements Refusal {
    @Override
    public String phrase(int nodes) {
      return "%s back end %s".formatted(verb(nodes, "lacks", "lack"), backEnd);
    }

    @Override
    public String help() {
      return "Ask for another back end, or add a node that serves %s.".formatted(backEnd);
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
    public String help() {
      return "Ask for at most %d vCPUs, or add a larger node.".formatted(most);
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
    public String help() {
      return "Delete or shrink microVMs: %s more CPU is needed on one node; or add a node."
          .formatted(cpus(needMilli - freeMilli));
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
    public String help() {
      return "Delete or shrink microVMs: %d MiB more is needed on one node; or add a node."
          .formatted(needMib - freeMib);
    }

    @Override
    public long headroom() {
      return freeMib;
    }
  }

  /** What follows the number of nodes in a sentence: "lack memory (need 512 MiB, free 96)". */
  String phrase(int nodes);

  /** For programs, for example "LacksMemory". */
  default String reason() {
    return getClass().getSimpleName();
  }

  /** What would have the node take it, in a sentence for people. */
  String help();

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
          LabelsDiffer _,
          NotTolerated _,
          TooNear _,
          TooFar _,
          TooCrowded _,
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
