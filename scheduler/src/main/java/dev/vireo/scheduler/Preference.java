package dev.vireo.scheduler;

/**
 * What makes a node better, without being required.
 *
 * @param weight 1 to 100, against the other preferences of the same microVM
 */
public record Preference(LabelExpression expression, int weight) {}
