package dev.vireo.cli;

import dev.vireo.proto.v1.Gang;
import dev.vireo.proto.v1.LabelExpression;
import dev.vireo.proto.v1.LabelExpression.Operator;
import dev.vireo.proto.v1.NodePreference;
import dev.vireo.proto.v1.PeerTerm;
import dev.vireo.proto.v1.Taint;
import dev.vireo.proto.v1.TaintEffect;
import dev.vireo.proto.v1.Toleration;
import dev.vireo.proto.v1.TopologySpread;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** How it is written where a microVM may go. */
final class PlacementForms {
  private PlacementForms() {}

  private static TypeConversionException wrong(String text, String what, String label) {
    return new TypeConversionException("'%s' is not %s; write %s".formatted(text, what, label));
  }

  /** {@code zone=a|b}, {@code zone!=a}, {@code disk}, {@code !disk}. */
  static final class Expression implements ITypeConverter<LabelExpression> {
    static final String LABEL = "KEY=VALUE[|VALUE...]|KEY!=...|KEY|!KEY";

    private static final Pattern FORM = Pattern.compile("(!)?([^=!|]+?)(?:(!?=)(.+))?");

    @Override
    public LabelExpression convert(String text) {
      Matcher matcher = FORM.matcher(text);
      if (!matcher.matches() || (matcher.group(1) != null && matcher.group(3) != null)) {
        throw wrong(text, "an expression about labels", LABEL);
      }
      LabelExpression.Builder expression = LabelExpression.newBuilder().setKey(matcher.group(2));
      if (matcher.group(3) == null) {
        return expression
            .setOperator(matcher.group(1) == null ? Operator.EXISTS : Operator.DOES_NOT_EXIST)
            .build();
      }
      return expression
          .setOperator(matcher.group(3).equals("=") ? Operator.IN : Operator.NOT_IN)
          .addAllValues(List.of(matcher.group(4).split("\\|", -1)))
          .build();
    }
  }

  /** {@code 10:zone=a}. */
  static final class Preference implements ITypeConverter<NodePreference> {
    static final String LABEL = "WEIGHT:EXPRESSION";

    private static final Pattern FORM = Pattern.compile("(\\d{1,3}):(.+)");

    @Override
    public NodePreference convert(String text) {
      Matcher matcher = FORM.matcher(text);
      if (!matcher.matches()) {
        throw wrong(text, "a preference", LABEL);
      }
      return NodePreference.newBuilder()
          .setWeight(Integer.parseInt(matcher.group(1)))
          .setExpression(new Expression().convert(matcher.group(2)))
          .build();
    }
  }

  /** {@code app=web,tier=1@zone}. */
  static final class Peers implements ITypeConverter<PeerTerm> {
    static final String LABEL = "KEY=VALUE[,KEY=VALUE...]@TOPOLOGY";

    private static final Pattern FORM = Pattern.compile("([^@]+)@([^@]+)");

    @Override
    public PeerTerm convert(String text) {
      Matcher matcher = FORM.matcher(text);
      if (!matcher.matches()) {
        throw wrong(text, "a term about other microVMs", LABEL);
      }
      return PeerTerm.newBuilder()
          .putAllLabels(labels(text, matcher.group(1)))
          .setTopologyKey(matcher.group(2))
          .build();
    }

    private static Map<String, String> labels(String text, String labels) {
      Map<String, String> parsed = new HashMap<>();
      for (String label : labels.split(",", -1)) {
        int equals = label.indexOf('=');
        if (equals < 1) {
          throw wrong(text, "a term about other microVMs", LABEL);
        }
        parsed.put(label.substring(0, equals), label.substring(equals + 1));
      }
      return parsed;
    }
  }

  /** {@code app=web@zone}, {@code app=web@zone:2}. */
  static final class Spread implements ITypeConverter<TopologySpread> {
    static final String LABEL = "KEY=VALUE[,KEY=VALUE...]@TOPOLOGY[:SKEW]";

    private static final Pattern FORM = Pattern.compile("(.*?)(?::(\\d{1,9}))?");

    @Override
    public TopologySpread convert(String text) {
      Matcher matcher = FORM.matcher(text);
      if (!matcher.matches()) {
        throw wrong(text, "a spread", LABEL);
      }
      PeerTerm peers = new Peers().convert(matcher.group(1));
      return TopologySpread.newBuilder()
          .putAllLabels(peers.getLabelsMap())
          .setTopologyKey(peers.getTopologyKey())
          .setMaxSkew(matcher.group(2) == null ? 1 : Integer.parseInt(matcher.group(2)))
          .build();
    }
  }

  /** {@code gpu=a100:NoSchedule}, {@code broken:NoExecute}. */
  static final class TaintForm implements ITypeConverter<Taint> {
    static final String LABEL = "KEY[=VALUE]:EFFECT";

    private static final Pattern FORM = Pattern.compile("([^=:]+)(?:=([^:]*))?:(.+)");

    @Override
    public Taint convert(String text) {
      Matcher matcher = FORM.matcher(text);
      if (!matcher.matches()) {
        throw wrong(text, "a taint", LABEL);
      }
      return Taint.newBuilder()
          .setKey(matcher.group(1))
          .setValue(matcher.group(2) == null ? "" : matcher.group(2))
          .setEffect(effect(matcher.group(3)))
          .build();
    }
  }

  /** {@code gpu}, {@code gpu=a100}, {@code gpu=a100:NoSchedule}. */
  static final class TolerationForm implements ITypeConverter<Toleration> {
    static final String LABEL = "KEY[=VALUE][:EFFECT]";

    private static final Pattern FORM = Pattern.compile("([^=:]+)(?:=([^:]*))?(?::(.+))?");

    @Override
    public Toleration convert(String text) {
      Matcher matcher = FORM.matcher(text);
      if (!matcher.matches()) {
        throw wrong(text, "a toleration", LABEL);
      }
      Toleration.Builder toleration =
          Toleration.newBuilder()
              .setKey(matcher.group(1))
              .setValue(matcher.group(2) == null ? "" : matcher.group(2));
      if (matcher.group(3) != null) {
        toleration.setEffect(effect(matcher.group(3)));
      }
      return toleration.build();
    }
  }

  private static TaintEffect effect(String text) {
    return Arrays.stream(TaintEffect.values())
        .filter(effect -> effect != TaintEffect.UNRECOGNIZED)
        .filter(effect -> effect != TaintEffect.TAINT_EFFECT_UNSPECIFIED)
        .filter(effect -> Text.camel(effect).equalsIgnoreCase(text))
        .findFirst()
        .orElseThrow(() -> wrong(text, "an effect", "NoSchedule, PreferNoSchedule or NoExecute"));
  }

  /** {@code batch-7/3}. */
  static final class GangForm implements ITypeConverter<Gang> {
    static final String LABEL = "NAME/SIZE";

    private static final Pattern FORM = Pattern.compile("([^/]+)/(\\d{1,9})");

    @Override
    public Gang convert(String text) {
      Matcher matcher = FORM.matcher(text);
      if (!matcher.matches()) {
        throw wrong(text, "a gang", LABEL);
      }
      return Gang.newBuilder()
          .setName(matcher.group(1))
          .setSize(Integer.parseInt(matcher.group(2)))
          .build();
    }
  }
}
