namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>A few connections that read. Each read sees one committed state throughout, and never waits for a commit.</summary>
internal sealed class ReaderPool : IDisposable
{
    private const int Size = 4;

    private readonly string _path;
    private readonly SemaphoreSlim _free = new(Size);
    private readonly Stack<StoreReader> _idle = new(Size);
    private bool _closed;

    public ReaderPool(string path) => _path = path;

    /// <summary>Runs a read on a thread of the pool.</summary>
    /// <exception cref="StoreUnavailableException">The file can't be read.</exception>
    public async Task<T> RunAsync<T>(Func<StoreReader, T> read, CancellationToken cancellation)
    {
        await _free.WaitAsync(cancellation);
        try
        {
            return await Task.Run(() => Run(read), cancellation);
        }
        finally
        {
            _free.Release();
        }
    }

    /// <summary>Waits for reads under way; later ones fail.</summary>
    public void Dispose()
    {
        Volatile.Write(ref _closed, true);
        for (var i = 0; i < Size; i++)
            _free.Wait();
        foreach (var reader in _idle)
            reader.Dispose();
        _idle.Clear();
        _free.Release(Size);
    }

    private T Run<T>(Func<StoreReader, T> read)
    {
        if (Volatile.Read(ref _closed))
            throw new StoreUnavailableException($"The store {_path} is closed.");
        StoreReader? reader = null;
        try
        {
            lock (_idle)
                _idle.TryPop(out reader);
            reader ??= StoreReader.Open(_path);
            reader.Begin();
            var result = read(reader);
            reader.End();
            lock (_idle)
                _idle.Push(reader);
            return result;
        }
        catch (Exception e)
        {
            // Whatever state it was left in is gone with the connection.
            reader?.Dispose();
            if (StorageFault.Is(e))
                throw StorageFault.Unavailable(_path, e);
            throw;
        }
    }
}
