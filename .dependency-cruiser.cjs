/** The rooms of the project and the doors between them; see ARCHITECTURE.md. */
module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      comment: 'Two files that need each other are one file, or hide a third.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'services-never-meet',
      comment: 'Services talk through the contracts in proto/ only.',
      severity: 'error',
      from: { path: '^services/([^/]+)/' },
      to: { path: '^services/', pathNot: '^services/$1/' },
    },
    {
      name: 'lib-knows-no-service',
      comment: 'What two services share knows neither.',
      severity: 'error',
      from: { path: '^lib/' },
      to: { path: '^(services|cli|models|bench)/' },
    },
    {
      name: 'native-is-a-leaf',
      comment: 'The addon’s door imports nothing of ours.',
      severity: 'error',
      from: { path: '^native/' },
      to: { path: '^(lib|services|cli|models|bench|gen)/' },
    },
    {
      name: 'one-door-to-native',
      comment: 'native/index.ts is the only door; its contract may be named by types.',
      severity: 'error',
      from: { path: '^(lib|services|cli|models)/' },
      to: { path: '^native/', pathNot: '^native/(index|contract)\\.ts$' },
    },
    {
      name: 'nothing-imports-the-cli',
      severity: 'error',
      from: { path: '^(lib|services|native|models)/' },
      to: { path: '^(cli|bench|test)/' },
    },
    {
      name: 'shipped-code-needs-shipped-packages',
      comment: 'What runs in production must not need a development dependency.',
      severity: 'error',
      from: { path: '^(lib|services|native|models|cli)/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|native/build)' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    // Resolves the generated contracts (`#proto/…`) to gen/.
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['types', 'import', 'node', 'default'],
      extensions: ['.ts', '.js', '.mjs', '.json'],
    },
  },
};
