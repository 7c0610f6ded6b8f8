// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strconv"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/telemetry/sampler"
)

const samplerParentOn = "parentbased_always_on"

var samplerNames = []string{
	"always_on", "always_off", "traceidratio",
	samplerParentOn, "parentbased_always_off", "parentbased_traceidratio",
}

// headSampler returns the sampler of the environment, else the option's, else
// the specification's default.
func headSampler(e *environ, option sdktrace.Sampler) sdktrace.Sampler {
	if option != nil && e.source[envSampler] != SourceEnvironment {
		return option
	}
	name, parentBased := strings.CutPrefix(strings.ToLower(e.value[envSampler]), "parentbased_")
	var s sdktrace.Sampler
	switch name {
	case "always_off":
		s = sdktrace.NeverSample()
	case "traceidratio":
		s = ratioSampler(e)
	default: // always_on; anything else has failed its check
		s = sdktrace.AlwaysSample()
	}
	if parentBased {
		return sampler.ParentBased(s)
	}
	return s
}

func ratioSampler(e *environ) sdktrace.Sampler {
	arg := e.value[envSamplerArg]
	if arg == "" {
		e.set(envSamplerArg, "1", SourceDefault)
		return sdktrace.AlwaysSample()
	}
	fraction, err := strconv.ParseFloat(arg, 64)
	if err == nil {
		var s sdktrace.Sampler
		if s, err = sampler.Ratio(fraction); err == nil {
			return s
		}
	}
	e.fail(envSamplerArg, arg, "must be a number between 0 and 1 for "+e.value[envSampler])
	return sdktrace.NeverSample()
}
