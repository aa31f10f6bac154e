package app

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// errNotRunning says that no serin up runs in the data directory.
var errNotRunning = errors.New("no serin up runs")

// targetFlags say who is meant: a gateway, or a cluster.
type targetFlags struct {
	endpoint endpointFlags
	cluster  clusterFlags
}

func (f *targetFlags) register(flags *pflag.FlagSet, env *Env) {
	f.endpoint.register(flags, env)
	f.cluster.register(flags)
}

// target is who is meant.
type target struct {
	// cluster is nil if the gateway is meant.
	cluster *cluster
	gateway endpoint
	// found says, in words, why it is a cluster that nobody named; empty if somebody did.
	found string
}

// tell says which cluster is used where a person did not.
func (t *target) tell(env *Env) error {
	if t.found == "" {
		return nil
	}

	if _, err := fmt.Fprintf(env.Stderr, "%s: using %s\n", t.found, t.cluster); err != nil {
		return fmt.Errorf("write output: %w", err)
	}

	return nil
}

// Flags of a cluster, and flags of a gateway.
const (
	flagContext    = "context"
	flagNamespace  = "namespace"
	flagKubeconfig = "kubeconfig"
	flagURL        = "url"
	flagTokenFile  = "token-file"
	flagData       = "data"
)

// find decides: flags before the environment, a gateway that is named or runs here before a cluster that is not named.
func (f *targetFlags) find(changed func(string) bool, env *Env) (target, error) {
	named := slices.ContainsFunc([]string{flagContext, flagNamespace, flagKubeconfig}, changed)
	local := slices.ContainsFunc([]string{flagURL, flagTokenFile, flagData}, changed)

	switch {
	case named && local:
		return target{}, usageErrorf("--%s, --%s and --%s are for a gateway, --%s, --%s and --%s for a cluster: name one of them",
			flagURL, flagTokenFile, flagData, flagContext, flagNamespace, flagKubeconfig)
	case named:
		return f.inCluster(env, "")
	case local || f.endpoint.url != "":
		return f.atGateway()
	case env.get("SERIN_CONTEXT") != "" || env.plugin():
		return f.inCluster(env, "")
	}

	found, err := f.atGateway()
	if errors.Is(err, errNotRunning) && f.cluster.exists(env) {
		return f.inCluster(env, "no serin up runs in "+f.endpoint.data)
	}

	return found, err
}

func (f *targetFlags) atGateway() (target, error) {
	at, err := f.endpoint.find()

	return target{gateway: at}, err
}

func (f *targetFlags) inCluster(env *Env, why string) (target, error) {
	found, err := f.cluster.find(env)

	return target{cluster: found, found: why}, err
}

// clusterFlags find a cluster as kubectl does.
type clusterFlags struct {
	context, namespace, kubeconfig string
}

func (f *clusterFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.context, flagContext, "", "context of the kubeconfig whose cluster is meant (default: $SERIN_CONTEXT, else the current one)")
	flags.StringVarP(&f.namespace, flagNamespace, "n", "", "namespace of the agents in the cluster (default: the context's)")
	flags.StringVar(&f.kubeconfig, flagKubeconfig, "", "file that says where the cluster is (default: $KUBECONFIG, else ~/.kube/config)")
}

// cluster is a namespace of a cluster, and who speaks to it.
type cluster struct {
	config             *rest.Config
	context, namespace string
}

// String names it for people.
func (c *cluster) String() string {
	return fmt.Sprintf("the cluster of context %q, namespace %q", c.context, c.namespace)
}

// paths are where a kubeconfig may be.
func (f *clusterFlags) paths(env *Env) []string {
	switch {
	case f.kubeconfig != "":
		return []string{f.kubeconfig}
	case env.get("KUBECONFIG") != "":
		return filepath.SplitList(env.get("KUBECONFIG"))
	case env.get("HOME") != "":
		return []string{filepath.Join(env.get("HOME"), ".kube", "config")}
	default:
		return nil
	}
}

// exists reports whether there is a kubeconfig.
func (f *clusterFlags) exists(env *Env) bool {
	return slices.ContainsFunc(f.paths(env), func(path string) bool {
		_, err := os.Stat(path)

		return err == nil
	})
}

// find reads the kubeconfig.
func (f *clusterFlags) find(env *Env) (*cluster, error) {
	paths := f.paths(env)
	if !f.exists(env) {
		return nil, usageErrorf("no kubeconfig in %s; name one with --%s", cmp.Or(strings.Join(paths, ", "), "the environment"), flagKubeconfig)
	}

	overrides := &clientcmd.ConfigOverrides{CurrentContext: cmp.Or(f.context, env.get("SERIN_CONTEXT"))}
	overrides.Context.Namespace = f.namespace
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&clientcmd.ClientConfigLoadingRules{Precedence: paths}, overrides)

	raw, err := loader.RawConfig()
	if err != nil {
		return nil, usageErrorf("kubeconfig: %w", err)
	}

	name := cmp.Or(overrides.CurrentContext, raw.CurrentContext)
	if raw.Contexts[name] == nil {
		names := make([]string, 0, len(raw.Contexts))
		for one := range raw.Contexts {
			names = append(names, one)
		}

		slices.Sort(names)

		return nil, usageErrorf("kubeconfig %s has no context %q; there are: %s", strings.Join(paths, ", "), name,
			cmp.Or(strings.Join(names, ", "), "none"))
	}

	config, err := loader.ClientConfig()
	if err != nil {
		return nil, usageErrorf("kubeconfig: context %q: %w", name, err)
	}

	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, usageErrorf("kubeconfig: context %q: %w", name, err)
	}

	config.UserAgent = "serin/" + version()
	config.WarningHandler = rest.NoWarnings{}

	return &cluster{config: config, context: name, namespace: namespace}, nil
}
