// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
)

// serviceName is the resource attribute of the semantic conventions.
const serviceName = attribute.Key("service.name")

// newResource says who is sending. Later parts win: what the process knows of
// itself, what slow detectors found in time, options, the environment. It does
// not take longer than the timeout plus the time of a few system calls, and it
// leaves out the command line, which may hold secrets.
func newResource(ctx context.Context, c *config) (*resource.Resource, []error) {
	base, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithOSType(),
		resource.WithProcessPID(),
		resource.WithProcessExecutableName(),
		resource.WithProcessRuntimeName(),
		resource.WithProcessRuntimeVersion(),
		resource.WithContainerID(),
		resource.WithService(),
	)
	problems := explain(nil, "detect the process", err)

	found, errs := detect(ctx, c.detectors, c.detectTimeout)
	problems = append(problems, errs...)
	attrs := c.attributes
	if c.serviceName != "" {
		attrs = append(slices.Clip(attrs), serviceName.String(c.serviceName))
	}
	env, err := resource.New(ctx, resource.WithAttributes(attrs...), resource.WithFromEnv())
	problems = explain(problems, "read OTEL_RESOURCE_ATTRIBUTES", err)

	for _, r := range append(found, env) {
		// A conflict of schemas costs the schema URL, not the attributes.
		merged, err := resource.Merge(base, r)
		problems = explain(problems, "merge", err)
		if merged != nil {
			base = merged
		}
	}
	return base, problems
}

func explain(errs []error, doing string, err error) []error {
	if err == nil {
		return errs
	}
	return append(errs, fmt.Errorf("telemetry: resource: %s: %w", doing, err))
}

// detect runs the user's detectors side by side and takes what is there when
// the time is over. One that ignores its context goes on alone; its result is
// thrown away.
func detect(ctx context.Context, detectors []resource.Detector, limit time.Duration) ([]*resource.Resource, []error) {
	if len(detectors) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type result struct {
		i   int
		res *resource.Resource
		err error
	}
	results := make(chan result, len(detectors)) // nobody has to wait for us
	for i, d := range detectors {
		go func() {
			res, err := d.Detect(ctx)
			results <- result{i, res, err}
		}()
	}
	found := make([]*resource.Resource, len(detectors))
	var errs []error
	for n := range detectors {
		select {
		case r := <-results:
			found[r.i] = r.res
			errs = explain(errs, fmt.Sprintf("detector %T", detectors[r.i]), r.err)
		case <-ctx.Done():
			return found, explain(errs, fmt.Sprintf("%d of %d detectors", len(detectors)-n, len(detectors)), context.Cause(ctx))
		}
	}
	return found, errs
}

// reportService puts the name that is in effect into the settings.
func reportService(e *environ, c *config, r *resource.Resource) {
	if e.value[envService] != "" && e.source[envService] == SourceEnvironment {
		return
	}
	name, _ := r.Set().Value(serviceName)
	source := SourceDefault
	switch {
	case hasKey(e.value[envResource], string(serviceName)):
		source = SourceEnvironment
	case c.serviceName != "":
		source = SourceOption
	}
	e.set(envService, name.AsString(), source)
}

func hasKey(pairs, key string) bool {
	for pair := range strings.SplitSeq(pairs, ",") {
		if k, _, _ := strings.Cut(pair, "="); strings.TrimSpace(k) == key {
			return true
		}
	}
	return false
}
