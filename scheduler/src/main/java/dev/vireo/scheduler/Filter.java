package dev.vireo.scheduler;

import dev.vireo.scheduler.Request.Kernel;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * One requirement that nodes of a kind meet or refuse with a reason. What a single node has left,
 * and whether it has just refused, is looked at after these ({@link Cluster}).
 */
@FunctionalInterface
public interface Filter {
  Optional<Refusal> refuse(Request request, NodeKind node);

  /**
   * The standard ones. A node is told by its first refusal, so they go from what the node is to
   * what it can do.
   */
  List<Filter> STANDARD =
      List.of(
          Filter::health,
          Filter::cordon,
          Filter::taints,
          Filter::selector,
          Filter::labels,
          Filter::architecture,
          Filter::image,
          Filter::guestKind,
          Filter::announcement,
          Filter::backEnds,
          Filter::vcpus);

  private static Optional<Refusal> health(Request request, NodeKind node) {
    return refuseIf(!node.ready(), new Refusal.NotReady());
  }

  private static Optional<Refusal> cordon(Request request, NodeKind node) {
    return refuseIf(node.cordoned(), new Refusal.Cordoned());
  }

  private static Optional<Refusal> selector(Request request, NodeKind node) {
    if (request.nodeRules().selector().isEmpty()) {
      return Optional.empty();
    }
    return request.nodeRules().selector().entrySet().stream()
        .filter(label -> !label.getValue().equals(node.labels().get(label.getKey())))
        .min(Map.Entry.comparingByKey())
        .map(label -> new Refusal.LabelMissing(label.getKey(), label.getValue()));
  }

  private static Optional<Refusal> taints(Request request, NodeKind node) {
    if (node.taints().isEmpty()) {
      return Optional.empty();
    }
    return node.taints().stream()
        .filter(taint -> taint.effect() != Taint.Effect.PREFER_NO_SCHEDULE)
        .filter(taint -> !request.nodeRules().tolerate(taint))
        .map(Taint::toString)
        .min(String::compareTo)
        .map(Refusal.NotTolerated::new);
  }

  private static Optional<Refusal> labels(Request request, NodeKind node) {
    for (LabelExpression expression : request.nodeRules().required()) {
      if (!expression.matches(node.labels())) {
        return Optional.of(new Refusal.LabelsDiffer(expression.toString()));
      }
    }
    return Optional.empty();
  }

  private static Optional<Refusal> architecture(Request request, NodeKind node) {
    return refuseIf(
        request.architecture().isPresent()
            && !request.architecture().get().equals(node.architecture()),
        new Refusal.OtherArchitecture(node.architecture()));
  }

  private static Optional<Refusal> image(Request request, NodeKind node) {
    if (!(request.kernel() instanceof Kernel.FromImage(String name))
        || bootableImage(request, node).isPresent()) {
      return Optional.empty();
    }
    String architectures =
        node.images().stream()
            .filter(image -> image.name().equals(name))
            .map(Image::architecture)
            .sorted()
            .collect(Collectors.joining(" and "));
    return Optional.of(
        architectures.isEmpty()
            ? new Refusal.ImageMissing(name)
            : new Refusal.ImageOfOtherArchitecture(name, architectures));
  }

  private static Optional<Refusal> guestKind(Request request, NodeKind node) {
    return refuseIf(
        !node.runsLinuxGuests() && bootableImage(request, node).filter(Image::linux).isPresent(),
        new Refusal.NoLinuxGuests());
  }

  private static Optional<Refusal> announcement(Request request, NodeKind node) {
    if (request.announcement().isEmpty()) {
      return Optional.empty();
    }
    Optional<Image> image = bootableImage(request, node);
    return request
        .announcement()
        .filter(wanted ->
            !node.announcements().contains(wanted)
                || image.filter(i -> !i.announcements().contains(wanted)).isPresent())
        .map(Refusal.AnnouncementMissing::new);
  }

  private static Optional<Refusal> backEnds(Request request, NodeKind node) {
    if (node.backEnds().containsAll(request.backEnds())) {
      return Optional.empty();
    }
    return request.backEnds().stream()
        .filter(backEnd -> !node.backEnds().contains(backEnd))
        .min(String::compareTo)
        .map(Refusal.BackEndMissing::new);
  }

  private static Optional<Refusal> vcpus(Request request, NodeKind node) {
    return refuseIf(
        request.vcpus() > node.maxVcpus(),
        new Refusal.TooManyVcpus(request.vcpus(), node.maxVcpus()));
  }

  private static Optional<Image> bootableImage(Request request, NodeKind node) {
    return switch (request.kernel()) {
      case Kernel.FromFile _ -> Optional.empty();
      case Kernel.FromImage(String name) -> bootableImage(name, node);
    };
  }

  private static Optional<Image> bootableImage(String name, NodeKind node) {
    for (Image image : node.images()) {
      if (image.name().equals(name) && image.architecture().equals(node.architecture())) {
        return Optional.of(image);
      }
    }
    return Optional.empty();
  }

  private static Optional<Refusal> refuseIf(boolean refused, Refusal refusal) {
    return refused ? Optional.of(refusal) : Optional.empty();
  }
}
