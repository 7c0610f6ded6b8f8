// SPDX-License-Identifier: Apache-2.0

package metrics

// What watchers of services know, see [Set.Discovery] and [Set.CollectWatcher]. name is
// the service, as it is for policies, here and in what follows.
var (
	discoveryInstances = Metric{
		Name: "fairlead_discovery_instances",
		Kind: KindGauge, Unit: "{instance}", Labels: []string{"name"}, Group: GroupCore,
		Help: "Number of instances of a service that may be called, those that are held included.",
	}
	discoveryHeld = Metric{
		Name: "fairlead_discovery_held_instances",
		Kind: KindGauge, Unit: "{instance}", Labels: []string{"name", "hold"}, Group: GroupCore,
		Help: "Number of instances that may be called though the registry does not list them, by why they are held: empty, churn or recovery; absent if none is.",
	}
	discoveryOrigin = Metric{
		Name: "fairlead_discovery_origin",
		Kind: KindGauge, Unit: "{watch}", Labels: []string{"name", "origin"}, Group: GroupCore,
		Help: "Number of watches of a service whose instances are from an origin, which is none, live, last-known-good, disk or fallback.",
	}
	discoveryAge = Metric{
		Name: "fairlead_discovery_age_seconds",
		Kind: KindGauge, Unit: "s", Labels: []string{"name"}, Group: GroupCore,
		Help: "Time since the registry last said what the instances of a service are; 0 while it is watched, absent if it never did.",
	}
	discoverySubscribers = Metric{
		Name: "fairlead_discovery_subscribers",
		Kind: KindGauge, Unit: "{subscriber}", Labels: []string{"name"}, Group: GroupCore,
		Help: "Number of subscribers that share the watch of a service.",
	}
	discoveryUpdatesTotal = Metric{
		Name: "fairlead_discovery_updates_total",
		Kind: KindCounter, Unit: "{update}", Labels: []string{"name"}, Group: GroupCore,
		Help: "Number of snapshots of a service that were given to subscribers.",
	}
	discoveryChangesTotal = Metric{
		Name: "fairlead_discovery_instance_changes_total",
		Kind: KindCounter, Unit: "{instance}", Labels: []string{"name", "change"}, Group: GroupCore,
		Help: "Number of instances that callers saw come, go and change: added, removed or changed.",
	}
	discoveryWatchFailuresTotal = Metric{
		Name: "fairlead_discovery_watch_failures_total",
		Kind: KindCounter, Unit: "{failure}", Labels: []string{"name"}, Group: GroupCore,
		Help: "Number of times the registry could not be asked about a service.",
	}
	discoverySkippedTotal = Metric{
		Name: "fairlead_discovery_skipped_entries_total",
		Kind: KindCounter, Unit: "{entry}", Labels: []string{"name"}, Group: GroupCore,
		Help: "Number of entries in the registry that make no valid instance of a service, each counted once.",
	}
	discoveryStoreFailuresTotal = Metric{
		Name: "fairlead_discovery_store_failures_total",
		Kind: KindCounter, Unit: "{failure}", Labels: []string{"name"}, Group: GroupCore,
		Help: "Number of times what is known of a service could not be read from or written to the store.",
	}
	discoverySwitchesTotal = Metric{
		Name: "fairlead_discovery_switches_total",
		Kind: KindCounter, Unit: "{switch}", Labels: []string{"name", "to"}, Group: GroupCore,
		Help: "Number of times a watch or a registration moved to the other registry, which is primary or fallback.",
	}
)

// What the registrations of this process do, see [Set.Discovery] and
// [Set.CollectRegistrar].
var (
	registrationState = Metric{
		Name: "fairlead_registration_state",
		Kind: KindGauge, Unit: "{registration}", Labels: []string{"name", "state"}, Group: GroupCore,
		Help: "Number of registrations of a service in a state, which is pending, registering, open, registered, visible, away, conflict or stopped.",
	}
	registrationHealthy = Metric{
		Name: "fairlead_registration_healthy",
		Kind: KindGauge, Unit: "{registration}", Labels: []string{"name"}, Group: GroupCore,
		Help: "Number of registrations of a service whose last heartbeat said that they pass their health check.",
	}
	registrationTTL = Metric{
		Name: "fairlead_registration_ttl_seconds",
		Kind: KindGauge, Unit: "s", Labels: []string{"name"}, Group: GroupCore,
		Help: "Shortest time to live that the registry granted to the registrations of a service.",
	}
	registrationFailures = Metric{
		Name: "fairlead_registration_failures",
		Kind: KindGauge, Unit: "{failure}", Labels: []string{"name"}, Group: GroupCore,
		Help: "Number of registrations or heartbeats of a service that failed in a row until now.",
	}
	registrationTransitionsTotal = Metric{
		Name: "fairlead_registration_transitions_total",
		Kind: KindCounter, Unit: "{transition}", Labels: []string{"name", "to"}, Group: GroupCore,
		Help: "Number of times a registration changed its state, by the new one.",
	}
	registrationHeartbeatDuration = Metric{
		Name: "fairlead_registration_heartbeat_duration_seconds",
		Kind: KindHistogram, Unit: "s", Labels: []string{"name", "result"}, Group: GroupCore,
		Help: "Duration of heartbeats, by how they ended: ok, forgotten by the registry, or error.",
	}
)

// How the servers of a registry are, see [Set.CollectPatrol], and its key space, see
// [Set.Discovery].
var (
	registryUp = Metric{
		Name: "fairlead_registry_up",
		Kind: KindGauge, Unit: "1", Labels: []string{"registry"}, Group: GroupCore,
		Help: "Whether the servers of a registry answered in the last round of the patrol: 1 or 0.",
	}
	registryHasLeader = Metric{
		Name: "fairlead_registry_has_leader",
		Kind: KindGauge, Unit: "1", Labels: []string{"registry"}, Group: GroupCore,
		Help: "Whether the servers of a registry have a leader: 1 or 0.",
	}
	registryLeaderChangesTotal = Metric{
		Name: "fairlead_registry_leader_changes_total",
		Kind: KindCounter, Unit: "{change}", Labels: []string{"registry"}, Group: GroupCore,
		Help: "Number of times another member led a registry than in the rounds before.",
	}
	registryMembers = Metric{
		Name: "fairlead_registry_members",
		Kind: KindGauge, Unit: "{member}", Labels: []string{"registry", "health"}, Group: GroupCore,
		Help: "Number of servers of a registry by their health, which is passing, failing or unknown.",
	}
	registryFaultTolerance = Metric{
		Name: "fairlead_registry_fault_tolerance",
		Kind: KindGauge, Unit: "{member}", Labels: []string{"registry"}, Group: GroupCore,
		Help: "Number of servers of a registry that may still fail.",
	}
	registryTerm = Metric{
		Name: "fairlead_registry_term",
		Kind: KindGauge, Unit: "{term}", Labels: []string{"registry"}, Group: GroupCore,
		Help: "Highest term of an election that a server of a registry knows of; absent if the registry does not tell.",
	}
	registryLag = Metric{
		Name: "fairlead_registry_log_lag",
		Kind: KindGauge, Unit: "{entry}", Labels: []string{"registry"}, Group: GroupCore,
		Help: "Number of log entries by which the last server of a registry that is up is behind the first; absent if the registry does not tell.",
	}
	registryLatency = Metric{
		Name: "fairlead_registry_latency_seconds",
		Kind: KindGauge, Unit: "s", Labels: []string{"registry"}, Group: GroupCore,
		Help: "Time that the slowest of the servers of a registry took to answer the patrol.",
	}
	registryDBSize = Metric{
		Name: "fairlead_registry_db_size_bytes",
		Kind: KindGauge, Unit: "By", Labels: []string{"registry"}, Group: GroupCore,
		Help: "Size of the largest database of the servers of a registry; absent if the registry does not tell.",
	}
	registryDBQuota = Metric{
		Name: "fairlead_registry_db_quota_bytes",
		Kind: KindGauge, Unit: "By", Labels: []string{"registry"}, Group: GroupCore,
		Help: "Smallest quota of the databases of the servers of a registry; absent if the registry does not tell.",
	}
	registryFindings = Metric{
		Name: "fairlead_registry_findings",
		Kind: KindGauge, Unit: "{finding}", Labels: []string{"registry", "kind"}, Group: GroupCore,
		Help: "Number of things that are wrong with the servers of a registry, by kind.",
	}
	registryRoundsTotal = Metric{
		Name: "fairlead_registry_patrol_rounds_total",
		Kind: KindCounter, Unit: "{round}", Labels: []string{"registry", "result"}, Group: GroupCore,
		Help: "Number of rounds of the patrol, by whether the servers of the registry answered: ok or error.",
	}
	registryEntries = Metric{
		Name: "fairlead_registry_entries",
		Kind: KindGauge, Unit: "{entry}", Labels: nil, Group: GroupCore,
		Help: "Number of entries of this environment in the registry, as of the last sweep.",
	}
	registryLeftovers = Metric{
		Name: "fairlead_registry_leftovers",
		Kind: KindGauge, Unit: "{entry}", Labels: []string{"kind"}, Group: GroupCore,
		Help: "Number of entries in the registry that should not be there, as of the last sweep: foreign, expired, immortal, malformed or duplicate.",
	}
	registryRemovedTotal = Metric{
		Name: "fairlead_registry_leftovers_removed_total",
		Kind: KindCounter, Unit: "{entry}", Labels: []string{"kind"}, Group: GroupCore,
		Help: "Number of entries that sweeps removed from the registry, by kind.",
	}
	registrySweepsTotal = Metric{
		Name: "fairlead_registry_sweeps_total",
		Kind: KindCounter, Unit: "{pass}", Labels: []string{"result"}, Group: GroupCore,
		Help: "Number of passes of the sweep through the registry, by how they ended: ok or error.",
	}
)

// What balancers decide, see [Set.CollectBalancers] and [Set.Balancer].
var (
	balancerPicksTotal = Metric{
		Name: "fairlead_balancer_picks_total",
		Kind: KindCounter, Unit: "{pick}", Labels: []string{"name", "decision"}, Group: GroupCore,
		Help: "Number of times an instance was chosen for a call, by kind of decision: local, spilled, any, slow_start, panic, or none if there was no instance.",
	}
	balancerEndpoints = Metric{
		Name: "fairlead_balancer_endpoints",
		Kind: KindGauge, Unit: "{endpoint}", Labels: []string{"name", "state"}, Group: GroupCore,
		Help: "Number of endpoints of a service: all, and those that are usable, in slow_start, suspended, unreachable, ejected or aside, which may be more than one of that.",
	}
	balancerInFlight = Metric{
		Name: "fairlead_balancer_in_flight",
		Kind: KindGauge, Unit: "{call}", Labels: []string{"name"}, Group: GroupCore,
		Help: "Number of calls to a service that have not ended.",
	}
	balancerLatency = Metric{
		Name: "fairlead_balancer_latency_seconds",
		Kind: KindGauge, Unit: "s", Labels: []string{"name"}, Group: GroupCore,
		Help: "Mean of the recent latencies of the endpoints of a service; absent if none is known.",
	}
	balancerLocalShare = Metric{
		Name: "fairlead_balancer_local_ratio",
		Kind: KindGauge, Unit: "1", Labels: []string{"name"}, Group: GroupCore,
		Help: "Share of the calls to a service that are for the zone that is preferred, from 0 to 1; 1 if none is.",
	}
	balancerPanicking = Metric{
		Name: "fairlead_balancer_panicking",
		Kind: KindGauge, Unit: "{balancer}", Labels: []string{"name"}, Group: GroupCore,
		Help: "Number of balancers of a service that ignore ejections because too few endpoints would be left.",
	}
	balancerExclusionsTotal = Metric{
		Name: "fairlead_balancer_exclusions_total",
		Kind: KindCounter, Unit: "{endpoint}", Labels: []string{"name", "reason"}, Group: GroupCore,
		Help: "Number of times an endpoint was taken out of picks: for failures (consecutive, failure_share or deviation), overload or because it was unreachable.",
	}
	balancerSparedTotal = Metric{
		Name: "fairlead_balancer_spared_total",
		Kind: KindCounter, Unit: "{endpoint}", Labels: []string{"name"}, Group: GroupCore,
		Help: "Number of times an endpoint was not ejected because too many are.",
	}
	balancerReturnsTotal = Metric{
		Name: "fairlead_balancer_returns_total",
		Kind: KindCounter, Unit: "{endpoint}", Labels: []string{"name", "reason"}, Group: GroupCore,
		Help: "Number of times an endpoint came back, by why it was out of picks.",
	}
)

// What a process says of its health, see [Set.Health] and [Set.CollectHealth], and of its
// end, see [Set.Drained].
var (
	healthStatus = Metric{
		Name: "fairlead_health_status",
		Kind: KindGauge, Unit: "1", Labels: []string{"status"}, Group: GroupCore,
		Help: "Whether the process can take requests: 1 for its status and 0 for the others of starting, ready, failing and draining.",
	}
	healthCheckState = Metric{
		Name: "fairlead_health_check_state",
		Kind: KindGauge, Unit: "1", Labels: []string{"check", "state"}, Group: GroupCore,
		Help: "What the last run of a health check found: 1 for that and 0 for the others of pending, ok, timeout, error, stuck and stale.",
	}
	healthCheckPassing = Metric{
		Name: "fairlead_health_check_passing",
		Kind: KindGauge, Unit: "1", Labels: []string{"check", "criticality"}, Group: GroupCore,
		Help: "Whether a health check counts as passing, after damping: 1 or 0.",
	}
	healthCheckLatency = Metric{
		Name: "fairlead_health_check_latency_seconds",
		Kind: KindGauge, Unit: "s", Labels: []string{"check"}, Group: GroupCore,
		Help: "Duration of the last run of a health check.",
	}
	healthCheckRunsTotal = Metric{
		Name: "fairlead_health_check_runs_total",
		Kind: KindCounter, Unit: "{run}", Labels: []string{"check", "state"}, Group: GroupCore,
		Help: "Number of runs of a health check, by what they found.",
	}
	healthCheckTransitionsTotal = Metric{
		Name: "fairlead_health_check_transitions_total",
		Kind: KindCounter, Unit: "{transition}", Labels: []string{"check", "to"}, Group: GroupCore,
		Help: "Number of times a health check began to count as passing or failing.",
	}
	drainRequestsTotal = Metric{
		Name: "fairlead_drain_requests_total",
		Kind: KindCounter, Unit: "{request}", Labels: []string{"protocol", "outcome"}, Group: GroupCore,
		Help: "Number of requests that were in flight when a server ended: drained came to their own end, killed were cut, stuck took no notice of that.",
	}
)

var discoveryTable = []*Metric{
	&discoveryInstances, &discoveryHeld, &discoveryOrigin, &discoveryAge, &discoverySubscribers,
	&discoveryUpdatesTotal, &discoveryChangesTotal, &discoveryWatchFailuresTotal, &discoverySkippedTotal,
	&discoveryStoreFailuresTotal, &discoverySwitchesTotal,
	&registrationState, &registrationHealthy, &registrationTTL, &registrationFailures,
	&registrationTransitionsTotal, &registrationHeartbeatDuration,
	&registryUp, &registryHasLeader, &registryLeaderChangesTotal, &registryMembers, &registryFaultTolerance,
	&registryTerm, &registryLag, &registryLatency, &registryDBSize, &registryDBQuota, &registryFindings, &registryRoundsTotal,
	&registryEntries, &registryLeftovers, &registryRemovedTotal, &registrySweepsTotal,
	&balancerPicksTotal, &balancerEndpoints, &balancerInFlight, &balancerLatency, &balancerLocalShare, &balancerPanicking,
	&balancerExclusionsTotal, &balancerSparedTotal, &balancerReturnsTotal,
	&healthStatus, &healthCheckState, &healthCheckPassing, &healthCheckLatency, &healthCheckRunsTotal, &healthCheckTransitionsTotal,
	&drainRequestsTotal,
}
