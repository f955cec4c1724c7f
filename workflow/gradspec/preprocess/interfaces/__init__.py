"""The steps as nipype interfaces: each reads files, calls one function of this stage, writes into its own folder."""
