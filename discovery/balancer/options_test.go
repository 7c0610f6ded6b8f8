// SPDX-License-Identifier: Apache-2.0

package balancer_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery/balancer"
)

func TestNewRefuses(t *testing.T) {
	for want, opt := range map[string]balancer.Option{
		"balancer: policy 9: must be one of the constants":                                          balancer.WithPolicy(9),
		"balancer: decay 0s: must be at least 1ms":                                                  balancer.WithDecay(0),
		"balancer: slow start -1s: must be 0 or more":                                               balancer.WithSlowStart(-time.Second, 0.1),
		"balancer: slow start share 0: must be more than 0 and at most 1":                           balancer.WithSlowStart(time.Second, 0),
		"balancer: zone overprovisioning 0.9: must be at least 1":                                   balancer.WithZoneOverprovision(0.9),
		"balancer: panic share 1.1: must be from 0 to 1":                                            balancer.WithPanicShare(1.1),
		"balancer: min backoff 0s: must be at least 1ms":                                            balancer.WithBackoff(0, time.Second),
		"balancer: max backoff 1s: must be at least the min backoff, 2s":                            balancer.WithBackoff(2*time.Second, time.Second),
		"balancer: subset size 0: must be at least 1":                                               balancer.WithSubset(0, "me"),
		`balancer: subset client "": must name this process, and no other`:                          balancer.WithSubset(1, ""),
		"balancer: ejection interval 0s: must be at least 1ms":                                      balancer.WithEjectInterval(0, 1, 1),
		"balancer: ejection's calls 0: must be at least 1":                                          balancer.WithEjectInterval(time.Second, 0, 1),
		"balancer: ejection's endpoints 0: must be at least 1":                                      balancer.WithEjectInterval(time.Second, 1, 0),
		"balancer: ejection's consecutive failures -1: must be 1 or more, or 0 for never":           balancer.WithEjectAfter(-1),
		"balancer: ejection's failure share 1.5: must be more than 0 and at most 1, or 0 for never": balancer.WithEjectFailureShare(1.5),
		"balancer: ejection's deviation -1: must be positive, or 0 for never":                       balancer.WithEjectDeviation(-1),
		"balancer: ejection time 0s: must be at least 1ms":                                          balancer.WithEjectTime(0, time.Second),
		"balancer: max ejection time 1s: must be at least the ejection time, 2s":                    balancer.WithEjectTime(2*time.Second, time.Second),
		"balancer: max ejected share 0: must be more than 0 and at most 1":                          balancer.WithMaxEjected(0),
	} {
		if _, err := balancer.New(opt); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	_, err := balancer.New(balancer.WithDecay(0), balancer.WithPanicShare(-1))
	if err == nil || strings.Count(err.Error(), "balancer: ") != 2 {
		t.Errorf("%v, want both", err)
	}
	if _, err := balancer.New(balancer.WithMaxEjected(0), balancer.WithoutEjection()); err != nil {
		t.Errorf("%v, and nothing is ejected", err)
	}
}
