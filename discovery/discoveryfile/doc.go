// SPDX-License-Identifier: Apache-2.0

// Package discoveryfile reads the settings of registries from a file, in YAML or JSON,
// for [discovery.Settings]: the environment wins over the file, and the file over the
// defaults.
//
//	file, err := discoveryfile.Read("registry.yaml")
//	…
//	settings := discovery.NewSettings(os.LookupEnv)
//	file.Use(settings, "consul")
//	registry, err := consul.FromEnv(settings)
//	…
//	if err := file.Err(); err != nil { … } // sections that nobody asked for
//
// A file has a section for each registry; the program says what they are called. What
// is in a section are the names of the back end's settings:
//
//	consul:
//	  address: https://consul.internal:8501
//	  token_file: /run/secrets/consul
//	  wait: 5m
//	etcd:
//	  endpoints: [https://10.0.0.1:2379, https://10.0.0.2:2379]
//
// What is not in a section is in the one called "". A value is as it is written; lists
// become what variables have, with commas between. Back ends say what a value may be,
// with the file, the line and the column:
//
//	discovery: wait "5": must be a duration such as "1.5s" (from registry.yaml:4:9)
//
// # Strictness
//
// Whatever would have no effect is an error: a key that is there twice, a value that is
// missing, a mapping where there must be a value, a second document, an empty file, a
// section or a setting that nobody asks for. All errors are told at once, each with its
// position, and none shows a value: it may be a secret.
//
// Anchors and aliases may be used; merge keys (<<) may not. A file is at most 64 KiB
// long. Keep secrets in files of their own, which back ends take the paths of.
//
// It is a package of its own because of YAML: who takes the environment alone does not
// link it.
package discoveryfile
