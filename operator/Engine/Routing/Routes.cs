using System.Collections.Frozen;
using System.Diagnostics.CodeAnalysis;

namespace WebhookOperator.Engine.Routing;

/// <summary>
/// Everything that is routed, at one moment: swapped whole, never changed. Readers take
/// <see cref="RouteSource.Current"/> once for each request.
/// </summary>
internal sealed class Routes
{
    public static readonly Routes Empty = new(FrozenDictionary<string, RouteTable>.Empty);

    private readonly FrozenDictionary<string, RouteTable> _byNamespace;

    public Routes(FrozenDictionary<string, RouteTable> byNamespace) => _byNamespace = byNamespace;

    public IEnumerable<string> Namespaces => _byNamespace.Keys;

    /// <summary>False where the namespace is not known here: nothing can be published to it.</summary>
    public bool TryGet(string @namespace, [NotNullWhen(true)] out RouteTable? table) =>
        _byNamespace.TryGetValue(@namespace, out table);
}

/// <summary>Holds the routes in force. One writer, the reconciler; any number of readers.</summary>
internal sealed class RouteSource
{
    private Routes _current = Routes.Empty;

    public Routes Current => Volatile.Read(ref _current);

    public void Swap(Routes routes) => Volatile.Write(ref _current, routes);
}
